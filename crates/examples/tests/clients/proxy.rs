//! `proxy` with curl in front and nginx behind.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::namespaces::Net;
use crate::{Folder, all_of, client, example, exchange, pattern, program, try_client};

/// nginx on port 8080 of the left's loopback interface, stopped on drop.
struct Nginx(Child);

impl Nginx {
    fn start(net: &Net, folder: &Folder) -> Self {
        let root = folder.path("");
        let config = format!(
            "daemon off; master_process off; pid {root}pid; error_log stderr;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {root}body;\n\
             server {{ listen 127.0.0.1:8080 backlog=512; root {root}; }} }}\n"
        );
        let path = folder.file("nginx.conf", config.as_bytes());
        let mut command = program(net, "nginx");
        command.args(["-p", &root, "-c", &path]).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let nginx = Self(command.spawn().expect("`ip` is installed"));
        net.on_left(|| {
            let until = Instant::now() + Duration::from_secs(10);
            while TcpStream::connect("127.0.0.1:8080").is_err() {
                assert!(Instant::now() < until, "nginx serves within ten seconds");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn proxy_passes_nginx_content_byte_for_byte_in_100_parallel_requests() {
    let net = Net::new();
    let folder = Folder::new("proxy");
    let content = pattern(1 << 20);
    folder.file("content", &content);
    let _nginx = Nginx::start(&net, &folder);
    let mut server = example(&net, "proxy", &[]);
    let one = folder.path("one");
    client(&net, &format!("curl -sS -m 10 -o {one} http://{{server}}/content"));
    assert!(folder.read("one") == content, "the content differs");
    let each = folder.path("each-#1");
    client(
        &net,
        &format!(
            "curl -sS -m 20 -Z --parallel-immediate --parallel-max 100 -o '{each}' \
             'http://{{server}}/content?[1-100]'"
        ),
    );
    for n in 1..=100 {
        assert!(folder.read(&format!("each-{n}")) == content, "the content of request {n} differs");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn proxy_passes_an_upload_and_both_ends_of_the_stream() {
    let net = Net::new();
    let mut server = example(&net, "proxy", &["7", "127.0.0.1:8007"]);
    let listener = net.on_left(|| TcpListener::bind("127.0.0.1:8007").expect("a free port"));
    let behind = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the proxy connects");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("the end of the client's data arrives");
        stream.write_all(&received).expect("the proxy reads");
    });
    let sent = pattern(3_000_000);
    assert!(exchange(&net, 7, sent.clone()) == sent, "the echo differs");
    behind.join().expect("the server behind the proxy ends");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn proxy_resets_the_client_of_a_server_that_is_down() {
    let net = Net::new();
    let mut server = example(&net, "proxy", &[]);
    let output = try_client(&net, "curl -sS -m 10 http://{server}/");
    // 56: failure in receiving network data. 52 would be an empty answer that ended well.
    assert_eq!(output.status.code(), Some(56), "{}", all_of(&output));
    assert_eq!(server.stop(), Some(0));
}
