//! Requests and their answers.

use linerate::net::TcpStream;

use super::super::Site;
use super::support::{answers_of, run, server, site, status_of, statuses, statuses_of, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn site_of(hosts: &[&str]) -> Site {
    Site { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..site(4) }
}

/// Returns the status of GET for a target, with the fields given.
#[track_caller]
fn get(site: Site, target: &str, fields: &str) -> u16 {
    status_of(site, &format!("GET {target} HTTP/1.1\r\n{fields}\r\n"))
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let text = answers_of(
        site(4),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n\
          GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let answers: Vec<_> = text.split("HTTP/1.1 ").skip(1).collect();
    let bodies = answers.iter().map(|it| it.split("\r\n\r\n").nth(1).unwrap_or_default());
    let bodies: Vec<_> = bodies.collect();
    assert_eq!(statuses(&text), [200, 200, 404]);
    assert_eq!(bodies, ["line", "", "404 Not Found\r\n"]);
    assert!(answers[1].contains("content-length: 4\r\n"), "{text}");
}

#[test]
fn an_answer_does_not_wait_for_the_rest_of_the_next_request() {
    run(server(site(4)), async |mut stream: TcpStream| {
        stream.write_all(format!("{GET}GET /").as_bytes()).await.expect("the server reads");
        until(&mut stream, "\r\n\r\nline").await;
        stream.write_all(b"x HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("the server reads");
        until(&mut stream, "404 Not Found\r\n").await;
    });
}

#[test]
fn an_answer_has_a_date_a_media_type_and_a_length() {
    let text = answers_of(site(4), GET.as_bytes());
    for field in ["date: ", "content-type: text/plain\r\n", "content-length: 4\r\n", "server: "] {
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[test]
fn absolute_form_targets_are_served() {
    // RFC 9112 §3.2.2: a server MUST accept the absolute-form in requests.
    assert_eq!(get(site(4), "http://a/", "Host: a\r\n"), 200);
    assert_eq!(get(site(4), "http://a", "Host: a\r\n"), 200);
    assert_eq!(get(site(4), "http://a:80/?x=1", "Host: a:80\r\n"), 200);
    assert_eq!(get(site(4), "http://a/x", "Host: a\r\n"), 404);
}

#[test]
fn the_authority_of_an_absolute_form_replaces_the_host() {
    assert_eq!(get(site_of(&["a"]), "http://a/", "Host: b\r\n"), 200);
    assert_eq!(get(site_of(&["a"]), "http://b/", "Host: a\r\n"), 421);
    assert_eq!(get(site(4), "http://a/", ""), 400);
    assert_eq!(get(site(4), "http://user@a/", "Host: a\r\n"), 400);
    assert_eq!(get(site(4), "http://a:65536/", "Host: a\r\n"), 400);
    assert_eq!(get(site(4), "https://a/", "Host: a\r\n"), 421);
}

#[test]
fn a_request_has_one_valid_host() {
    assert_eq!(get(site(4), "/", ""), 400);
    assert_eq!(get(site(4), "/", "Host: a\r\nHost: a\r\n"), 400);
    assert_eq!(get(site(4), "/", "Host: a b\r\n"), 400);
    assert_eq!(get(site(4), "/", "Host: user@a\r\n"), 400);
    assert_eq!(get(site(4), "/", "Host: \u{e4}\r\n"), 400);
    assert_eq!(get(site(4), "/", "Host:\r\n"), 200);
    assert_eq!(get(site(4), "/", "Host: [fd00::1]:80\r\n"), 200);
    assert_eq!(status_of(site(4), "GET / HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(status_of(site(4), "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
}

#[test]
fn only_configured_hosts_are_answered() {
    let hosts = ["a.example", "10.0.0.1"];
    assert_eq!(get(site_of(&hosts), "/", "Host: A.Example:8080\r\n"), 200);
    assert_eq!(get(site_of(&hosts), "/", "Host: 10.0.0.1\r\n"), 200);
    assert_eq!(get(site_of(&hosts), "/", "Host: b.example\r\n"), 421);
    assert_eq!(get(site_of(&hosts), "/", "Host:\r\n"), 421);
}

#[test]
fn chunked_requests_are_read() {
    // RFC 9112 §7.1: a recipient MUST be able to parse and decode the chunked transfer coding.
    for (method, status) in [("GET", 200), ("POST", 405)] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunked = format!("{head}3;x=y\r\nabc\r\n5\r\ndefgh\r\n0\r\nTrailer: z\r\n\r\n{GET}");
        assert_eq!(statuses_of(site(4), &chunked), [status, 200]);
        assert_eq!(statuses_of(site(4), &format!("{head}z\r\n{GET}")), [400]);
    }
}

#[test]
fn a_request_body_is_read_up_to_a_limit() {
    let post = |bytes: usize| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");
        format!("{head}{}{GET}", "x".repeat(bytes))
    };
    assert_eq!(statuses_of(site(4), &post(64 * 1024)), [405, 200]);
    assert_eq!(statuses_of(site(4), &post(64 * 1024 + 1)), [413]);
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = |chunks: usize| format!("{head}{}0\r\n\r\n{GET}", chunk.repeat(chunks));
    assert_eq!(statuses_of(site(4), &chunked(2)), [405, 200]);
    assert_eq!(statuses_of(site(4), &chunked(3)), [413]);
}

#[test]
fn a_client_that_expects_a_refusal_gets_it_before_the_body() {
    let fields = "Host: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    run(server(site(4)), async move |mut stream: TcpStream| {
        let post = format!("POST / HTTP/1.1\r\n{fields}");
        stream.write_all(post.as_bytes()).await.expect("the server reads");
        let text = until(&mut stream, "405 Method Not Allowed\r\n").await;
        assert_eq!(statuses(&text), [405]);
    });
    run(server(site(4)), async move |mut stream: TcpStream| {
        let get = format!("GET / HTTP/1.1\r\n{fields}");
        stream.write_all(get.as_bytes()).await.expect("the server reads");
        assert_eq!(statuses(&until(&mut stream, "\r\n\r\n").await), [100]);
        stream.write_all(b"body").await.expect("the server reads");
        assert_eq!(statuses(&until(&mut stream, "\r\n\r\nline").await), [200]);
    });
}

#[test]
fn lengths_that_could_smuggle_a_request_are_refused() {
    for length in ["+1", "1,2", "", "0x1", "99999999999999999999"] {
        let fields = format!("Host: a\r\nContent-Length: {length}\r\n");
        assert_eq!(get(site(4), "/", &fields), 400, "{length}");
    }
    let both = "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n";
    assert_eq!(get(site(4), "/", both), 400);
}

#[test]
fn paths_are_percent_decoded() {
    let path = std::env::temp_dir().join(format!("linerate ä{}.txt", std::process::id()));
    std::fs::write(&path, "file").expect("the temporary directory is writable");
    let content = super::super::Content::of_file(&path).expect("the file was written");
    std::fs::remove_file(&path).expect("the file exists");
    let site = Site { content: std::sync::Arc::new(content), ..site(4) };
    let number = std::process::id();
    for (target, status) in [
        (format!("/linerate%20%C3%A4{number}.txt"), 200),
        (format!("/%6Cinerate%20%c3%a4{number}%2Etxt?x=%zz"), 200),
        (format!("/linerate%2520%C3%A4{number}.txt"), 404),
        ("/%".to_owned(), 400),
        ("/%4".to_owned(), 400),
        ("/%zz".to_owned(), 400),
        ("/%00".to_owned(), 400),
        ("/%2F".to_owned(), 400),
        ("/%2e%2e/".to_owned(), 404),
    ] {
        assert_eq!(get(site.clone(), &target, "Host: a\r\n"), status, "{target}");
    }
}

#[test]
fn unknown_methods_get_501_and_others_405_with_allow() {
    for method in ["BREW", "get", "PROPFIND", "X"] {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status_of(site(4), &text), 501, "{method}");
    }
    for method in ["POST", "PUT", "DELETE", "TRACE", "PATCH"] {
        let text =
            answers_of(site(4), format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(statuses(&text), [405], "{method}");
        assert!(text.contains("allow: GET, HEAD, OPTIONS\r\n"), "{text}");
    }
    let connect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
    assert_eq!(status_of(site(4), connect), 405);
    assert_eq!(status_of(site(4), "POST /x HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
}

#[test]
fn options_lists_the_methods() {
    for target in ["*", "/"] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n{GET}");
        let text = answers_of(site(4), request.as_bytes());
        assert_eq!(statuses(&text), [204, 200]);
        assert!(text.contains("allow: GET, HEAD, OPTIONS\r\n"), "{text}");
    }
    assert_eq!(status_of(site(4), "OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    assert_eq!(status_of(site(4), "GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
}

/// RFC 9110 §2.5 says that a server SHOULD process HTTP/1.2 as HTTP/1.1. hyper does not.
#[test]
fn other_versions_are_refused() {
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTQ/1.1"] {
        let text = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(status_of(site(4), &text), 400, "{version}");
    }
}

#[test]
fn the_version_decides_whether_the_connection_goes_on() {
    let twice = |head: &str| statuses_of(site(4), &head.repeat(2)).len();
    assert_eq!(twice(GET), 2);
    assert_eq!(twice("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"), 1);
    assert_eq!(twice("GET / HTTP/1.0\r\n\r\n"), 1);
    assert_eq!(twice("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 2);
}

#[test]
fn a_head_has_at_most_100_fields_and_32_kib() {
    let fields = |count: usize| format!("Host: a\r\n{}", "A: b\r\n".repeat(count - 1));
    assert_eq!(get(site(4), "/", &fields(65)), 200);
    assert_eq!(get(site(4), "/", &fields(100)), 200);
    assert_eq!(get(site(4), "/", &fields(101)), 431);
    let long = |bytes: usize| format!("Host: a\r\nA: {}\r\n", "a".repeat(bytes));
    assert_eq!(get(site(4), "/", &long(32_000)), 200);
    assert_eq!(get(site(4), "/", &long(33_000)), 431);
}

#[test]
fn a_large_body_arrives_complete_before_the_connection_closes() {
    for fields in ["Connection: close\r\n", ""] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let text = answers_of(site(3_000_000), request.as_bytes());
        let body = text.split("\r\n\r\n").next().map_or(0, |head| text.len() - head.len() - 4);
        assert_eq!(body, 3_000_000);
    }
}

/// Closing with data unread would reset the connection, and the client would lose the answer.
#[test]
fn a_refusal_arrives_though_the_client_goes_on_sending() {
    let text = run(server(site(4)), async |mut stream: TcpStream| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        for _ in 0..300 {
            stream.write_all(&[b'x'; 1000]).await.expect("the server discards");
            linerate::net::sleep(linerate::Duration::from_millis(1)).await;
        }
        stream.shutdown(std::net::Shutdown::Write).expect("the connection is open");
        super::support::rest(&mut stream).await
    });
    assert_eq!(statuses(&text), [413]);
}
