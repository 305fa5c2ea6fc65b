//! Parses request heads.

use super::content::Content;

/// Longest request head accepted, in bytes.
pub(super) const HEAD_MAX: usize = 8 * 1024;

/// Maximum number of header fields in a request.
const FIELDS_MAX: usize = 64;

/// The status of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 431.
    HeadTooLarge,
}

impl Status {
    /// Returns status code and reason phrase.
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
        }
    }
}

/// A parsed request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Length of the head in bytes.
    pub head_length: usize,
    /// Length of the body in bytes.
    pub body_length: u64,
    /// Status of the response.
    pub status: Status,
    /// True for HEAD: the response has no body.
    pub is_head: bool,
    /// True if the connection stays open for another request.
    pub keep_alive: bool,
    /// True for HTTP/1.0, where keep-alive needs a Connection field in the response.
    pub is_old: bool,
}

impl Request {
    /// Returns a rejected request, after which the connection closes.
    const fn rejected(status: Status) -> Self {
        Self {
            head_length: 0,
            body_length: 0,
            status,
            is_head: false,
            keep_alive: false,
            is_old: false,
        }
    }
}

/// Parses the first request in `bytes`. Returns `None` while its head is incomplete.
pub(super) fn parse(bytes: &[u8], content: &Content) -> Option<Request> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length > HEAD_MAX => {
            Some(Request::rejected(Status::HeadTooLarge))
        }
        Ok(httparse::Status::Complete(length)) => Some(evaluate(&head, length, content)),
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_MAX => {
            Some(Request::rejected(Status::HeadTooLarge))
        }
        Ok(httparse::Status::Partial) => None,
        Err(httparse::Error::TooManyHeaders) => Some(Request::rejected(Status::HeadTooLarge)),
        Err(_) => Some(Request::rejected(Status::BadRequest)),
    }
}

/// The header fields that the server evaluates.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    is_chunked: bool,
    expects: bool,
    close: bool,
    keep_alive: bool,
    is_bad: bool,
}

fn fields(head: &httparse::Request<'_, '_>) -> Fields {
    let mut seen = Fields::default();
    for field in head.headers.iter() {
        let name = field.name;
        if name.eq_ignore_ascii_case("host") {
            seen.hosts += 1;
        } else if name.eq_ignore_ascii_case("content-length") {
            let length = content_length(field.value);
            seen.is_bad |= length.is_none() || seen.length.is_some_and(|it| Some(it) != length);
            seen.length = length;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            seen.is_chunked = true;
        } else if name.eq_ignore_ascii_case("expect") {
            seen.expects = true;
        } else if name.eq_ignore_ascii_case("connection") {
            for option in field.value.split(|byte| *byte == b',') {
                seen.close |= option.trim_ascii().eq_ignore_ascii_case(b"close");
                seen.keep_alive |= option.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }
    seen
}

/// Parses Content-Length. RFC 9110 §8.6 permits only digits.
fn content_length(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn evaluate(head: &httparse::Request<'_, '_>, head_length: usize, content: &Content) -> Request {
    let is_old = head.version == Some(0);
    let seen = fields(head);
    // RFC 9112 §3.2: a server MUST respond with 400 to an HTTP/1.1 request that lacks a Host field
    // or has more than one. We support no transfer codings: GET and HEAD need none, and without
    // decoding them the end of the body is unknown.
    if seen.is_bad || seen.is_chunked || (!is_old && seen.hosts != 1) || seen.hosts > 1 {
        return Request { is_old, ..Request::rejected(Status::BadRequest) };
    }
    let method = head.method.unwrap_or_default();
    let status = match method {
        "GET" | "HEAD" if content.is_at(head.path.unwrap_or_default()) => Status::Ok,
        "GET" | "HEAD" => Status::NotFound,
        _ => Status::MethodNotAllowed,
    };
    // RFC 9110 §10.1.1: after a final response to an expectation the client may or may not send the
    // body, so close the connection: the start of the next request is unknown.
    let keep_alive = !seen.close && !seen.expects && (!is_old || seen.keep_alive);
    Request {
        head_length,
        body_length: seen.length.unwrap_or(0),
        status,
        is_head: method == "HEAD",
        keep_alive,
        is_old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Request> {
        parse(text.as_bytes(), &Content::of_size(4))
    }

    fn status(text: &str) -> Status {
        of(text).expect("the head is complete").status
    }

    #[test]
    fn each_error_has_its_status() {
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Status::Ok);
        assert_eq!(status("GET /?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"), Status::Ok);
        assert_eq!(status("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), Status::NotFound);
        assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), Status::MethodNotAllowed);
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Status::BadRequest);
        assert_eq!(status("\0\r\n\r\n"), Status::BadRequest);
        let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(HEAD_MAX));
        assert_eq!(status(&long), Status::HeadTooLarge);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(status(&many), Status::HeadTooLarge);
    }

    #[test]
    fn lengths_that_could_smuggle_a_request_are_rejected() {
        for length in ["+1", "1,2", "", "0x1", "99999999999999999999"] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(status(&text), Status::BadRequest, "{length}");
        }
        let both = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(status(both), Status::BadRequest);
    }

    #[test]
    fn the_version_decides_what_a_missing_connection_field_means() {
        let keeps = |text| of(text).expect("the head is complete").keep_alive;
        assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn an_incomplete_head_returns_none() {
        assert_eq!(of("GET / HTTP/1.1\r\nHost: a\r\n"), None);
    }
}
