//! `http` with curl, wrk and h2load.

use crate::namespaces::Net;
use crate::{Folder, client, example, pattern};

#[test]
fn http_answers_curl_in_both_versions() {
    let net = Net::new();
    let mut server = example(&net, "http", &[]);
    let curl = |arguments: &str| client(&net, &format!("curl -sS -m 10 {arguments}"));
    let shown = "-w '%{http_code} HTTP/%{http_version}'";
    for (option, version) in [("", "1.1"), ("--http2-prior-knowledge", "2")] {
        let answer = curl(&format!("{option} {shown} http://{{server}}/"));
        assert_eq!(answer, format!("hello from linerate\n200 HTTP/{version}"));
        let size = curl(&format!(
            "{option} -o /dev/null -w '%{{size_download}}' http://{{server}}/bytes/3000000"
        ));
        assert_eq!(size, "3000000");
        let status = |arguments: &str| {
            curl(&format!("{option} -o /dev/null -w '%{{http_code}}' {arguments}"))
        };
        assert_eq!(status("http://{server}/none"), "404");
        assert_eq!(status("http://{server}/bytes/99999999999"), "404");
        assert_eq!(status("-X DELETE http://{server}/"), "405");
        let head = curl(&format!("{option} -I http://{{server}}/bytes/5000")).to_lowercase();
        assert!(head.contains(" 200") && head.contains("content-length: 5000"), "{head}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn http_echoes_an_upload_byte_for_byte() {
    let net = Net::new();
    let mut server = example(&net, "http", &["8080"]);
    let folder = Folder::new("http");
    let sent = pattern(500_000);
    let file = folder.file("sent", &sent);
    for (version, option) in [("1", ""), ("2", "--http2-prior-knowledge")] {
        let received = folder.path(version);
        client(
            &net,
            &format!(
                "curl -sS -m 10 {option} -H Expect: --data-binary @{file} -o {received} \
                 http://{{server}}:8080/echo"
            ),
        );
        assert!(folder.read(version) == sent, "the echo over HTTP/{version} differs");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn http_serves_load_generators_without_an_error() {
    let net = Net::new();
    let mut server = example(&net, "http", &[]);
    let report = client(&net, "wrk -t1 -c32 -d1s http://{server}/");
    assert!(report.contains("Requests/sec"), "{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    for option in ["--h1", ""] {
        let report =
            client(&net, &format!("h2load {option} -n 2000 -c 10 -m 10 http://{{server}}/"));
        assert!(report.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
        assert!(report.contains("2000 2xx"), "{report}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn http_finishes_a_download_after_sigterm() {
    let net = Net::new();
    let mut server = example(&net, "http", &[]);
    let command = "curl -sS -m 10 --limit-rate 8M -o /dev/null -w '%{size_download}' \
                   http://{server}/bytes/8000000";
    let size = std::thread::scope(|scope| {
        let download = scope.spawn(|| client(&net, command));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!download.is_finished(), "the download takes a second");
        assert_eq!(server.stop(), Some(0));
        download.join().expect("curl succeeds")
    });
    assert_eq!(size, "8000000");
}
