//! Replies of Redis' protocol (RESP2), appended to a buffer.

/// Appends `+text`.
pub(super) fn simple(out: &mut Vec<u8>, text: &str) {
    line(out, b'+', text);
}

/// Appends `-text`. Redis' errors begin with a word in capitals, mostly `ERR`.
pub(super) fn error(out: &mut Vec<u8>, text: &str) {
    // A line break in an error would end it early: the rest would pass as a reply of its own.
    line(out, b'-', &text.replace(['\r', '\n'], " "));
}

/// Appends `:number`.
pub(super) fn integer(out: &mut Vec<u8>, number: i64) {
    line(out, b':', &number.to_string());
}

/// Appends the start of an array; as many replies follow.
pub(super) fn array(out: &mut Vec<u8>, replies: usize) {
    line(out, b'*', &replies.to_string());
}

/// Appends a string of any bytes, or the null string.
pub(super) fn bulk(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return out.extend_from_slice(b"$-1\r\n") };
    line(out, b'$', &bytes.len().to_string());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}
