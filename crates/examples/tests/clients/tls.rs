//! `tls` with curl and openssl.

use crate::namespaces::Net;
use crate::{all_of, client, example, try_client};

#[test]
fn tls_answers_curl_in_the_version_that_alpn_chooses() {
    let net = Net::new();
    let mut server = example(&net, "tls", &[]);
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let shown = "-w '%{http_code} HTTP/%{http_version}'";
        let answer =
            client(&net, &format!("curl -sS -k -m 10 {option} {shown} https://{{server}}/"));
        assert_eq!(answer, format!("hello over TLSv1_3\n200 HTTP/{version}"));
    }
    let refused = try_client(&net, "curl -sS -m 10 https://{server}/");
    assert_eq!(refused.status.code(), Some(60), "self-signed: {}", all_of(&refused));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn tls_shakes_hands_with_openssl_in_both_versions() {
    let net = Net::new();
    let mut server = example(&net, "tls", &["8443"]);
    for (option, shown, answer) in [
        ("-tls1_3", "Protocol version: TLSv1.3", "hello over TLSv1_3"),
        ("-tls1_2", "Protocol version: TLSv1.2", "hello over TLSv1_2"),
    ] {
        let output = try_client(
            &net,
            &format!(
                "printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' | \
                 openssl s_client {option} -brief -ign_eof -connect {{server}}:8443"
            ),
        );
        let text = all_of(&output);
        assert!(output.status.success(), "{text}");
        for part in [shown, "HTTP/1.1 200 OK", answer] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
    assert_eq!(server.stop(), Some(0));
}
