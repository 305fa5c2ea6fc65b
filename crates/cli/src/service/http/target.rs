//! Host, authority and path of a request (RFC 9112 §3.2, RFC 3986).

use std::net::Ipv6Addr;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::{StatusCode, Version};

/// Finds the host that a request is for: the host of an absolute-form target, or else of the Host
/// field. Empty if the client names none.
///
/// # Errors
/// The status of the refusal: 400 by RFC 9112 §3.2,
///
/// > A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
/// > that lacks a Host header field and to any request message that contains more than one Host
/// > header field line or a Host header field with an invalid field value.
///
/// and 421 for a scheme other than http (RFC 9110 §7.4).
pub(super) fn host(request: &Parts) -> Result<&str, StatusCode> {
    let mut fields = request.headers.get_all(HOST).iter();
    let (first, second) = (fields.next(), fields.next());
    let is_missing = first.is_none() && request.version >= Version::HTTP_11;
    if second.is_some() || is_missing {
        return Err(StatusCode::BAD_REQUEST);
    }
    let field = match first {
        Some(field) => field.to_str().map_err(|_| StatusCode::BAD_REQUEST)?,
        None => "",
    };
    // An empty field is what a client sends that has no authority.
    let of_field = if field.is_empty() { "" } else { host_of(field)? };
    match request.uri.authority() {
        None => Ok(of_field),
        // RFC 9112 §3.2.2: the host of an absolute-form target replaces that of the field.
        Some(authority) => {
            if request.uri.scheme_str().is_some_and(|scheme| scheme != "http") {
                return Err(StatusCode::MISDIRECTED_REQUEST);
            }
            host_of(authority.as_str())
        }
    }
}

/// Returns the host of `uri-host [ ":" port ]` (RFC 9110 §7.2). Refuses user information, which an
/// attacker could put there to disguise the host (RFC 9110 §4.2.4).
fn host_of(authority: &str) -> Result<&str, StatusCode> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(authority.len(), |end| end + 2),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    let is_valid =
        is_host(host) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    is_valid.then_some(host).ok_or(StatusCode::BAD_REQUEST)
}

/// Returns true for a port. An empty one means the default (RFC 3986 §3.2.3).
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.is_empty() || text.parse::<u16>().is_ok())
}

/// Returns true for a name or an address (RFC 3986 §3.2.2). RFC 9110 §4.2.1 refuses an empty one.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|it| it.parse::<Ipv6Addr>().is_ok());
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
    let decoded = percent_decode(text.as_bytes());
    let is_literal = |byte: &u8| is_name(*byte) || *byte == b'%';
    !text.is_empty() && decoded.is_some() && text.as_bytes().iter().all(is_literal)
}

/// Decodes the path of a request target.
///
/// # Errors
/// 400 for an escape that is incomplete, and for two that would change what the path names: `%2F`
/// is not the separator `/` (RFC 3986 §2.2), and no file name contains NUL.
pub(super) fn path(request: &Parts) -> Result<Vec<u8>, StatusCode> {
    let raw = request.uri.path().as_bytes();
    let decoded = percent_decode(raw).ok_or(StatusCode::BAD_REQUEST)?;
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    if decoded.contains(&0) || slashes(&decoded) != slashes(raw) {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(decoded)
}

/// Decodes percent-encoded bytes (RFC 3986 §2.1). Returns `None` for an incomplete escape.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        decoded.push(digit(*high)? << 4 | digit(*low)?);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports_are_found() {
        for (text, host) in [
            ("a", "a"),
            ("a.example:80", "a.example"),
            ("a:", "a"),
            ("10.0.0.1:8080", "10.0.0.1"),
            ("[fd00::1]", "[fd00::1]"),
            ("[fd00::1]:80", "[fd00::1]"),
            ("a%41_~", "a%41_~"),
        ] {
            assert_eq!(host_of(text), Ok(host), "{text}");
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+1",
            "user@a",
            "user:1@a",
            "[fd00::1",
            "fd00::1]",
            "[a]",
            "[fd00::1]a",
            "[]",
            "a%4",
            "a%zz",
            "a?",
            "a#",
            "a\"",
        ] {
            assert_eq!(host_of(text), Err(StatusCode::BAD_REQUEST), "{text}");
        }
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(percent_decode(b"/%41%62%2520%C3%A4"), Some(b"/Ab%20\xc3\xa4".to_vec()));
        for text in ["%", "%4", "%g0", "%0g", "a%+1", "%%41"] {
            assert_eq!(percent_decode(text.as_bytes()), None, "{text}");
        }
    }
}
