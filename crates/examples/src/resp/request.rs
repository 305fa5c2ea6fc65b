//! Requests of Redis' protocol: arrays of strings, and lines typed by hand ("inline").
//!
//! Every length is checked before anything waits for as many bytes: a client makes the server hold
//! at most [`REQUEST_MAX`].

use std::borrow::Cow;

/// Most arguments of a request, its name included. Redis takes 1,048,576.
const ARGUMENTS_MAX: usize = 1024;

/// Longest argument, bytes. Redis takes 512 MiB.
const BULK_MAX: usize = 1 << 20;

/// Longest line, bytes, as in Redis.
const LINE_MAX: usize = 64 << 10;

/// Longest request, bytes.
pub(super) const REQUEST_MAX: usize = 4 << 20;

/// The name of the command and its arguments.
pub(super) type Words<'a> = Vec<Cow<'a, [u8]>>;

/// The start of a buffer, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// The rest of the request is still to come.
    Incomplete,
    /// A request of so many bytes. An empty one gets no reply.
    Request(Words<'a>, usize),
    /// Not the protocol. The connection ends after this error.
    Broken(String),
}

/// Stops the parse of a request: it is not complete, or not the protocol.
enum Stop {
    Incomplete,
    Broken(String),
}

/// Parses the request at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut cursor = Cursor { bytes, at: 0 };
    let words = match bytes.first() {
        Some(b'*') => cursor.array(),
        Some(_) => cursor.inline(),
        None => Err(Stop::Incomplete),
    };
    match words {
        Ok(words) => Parsed::Request(words, cursor.at),
        Err(Stop::Broken(text)) => Parsed::Broken(format!("ERR Protocol error: {text}")),
        Err(Stop::Incomplete) if bytes.len() >= REQUEST_MAX => {
            Parsed::Broken(format!("ERR Protocol error: more than {REQUEST_MAX} bytes"))
        }
        Err(Stop::Incomplete) => Parsed::Incomplete,
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn array(&mut self) -> Result<Words<'a>, Stop> {
        let count = number(self.line("too big mbulk count string")?);
        let count = match count {
            Some(..=0) => return Ok(Words::new()),
            Some(count) if count as usize <= ARGUMENTS_MAX => count as usize,
            _ => return Err(broken("invalid multibulk length")),
        };
        let mut words = Words::with_capacity(count);
        for _ in 0..count {
            words.push(Cow::Borrowed(self.bulk()?));
        }
        Ok(words)
    }

    fn bulk(&mut self) -> Result<&'a [u8], Stop> {
        match self.bytes.get(self.at) {
            None => return Err(Stop::Incomplete),
            Some(b'$') => {}
            Some(other) => {
                return Err(Stop::Broken(format!("expected '$', got '{}'", char::from(*other))));
            }
        }
        let length = number(self.line("too big bulk count string")?);
        let length = match length.map(usize::try_from) {
            Some(Ok(length)) if length <= BULK_MAX => length,
            _ => return Err(broken("invalid bulk length")),
        };
        let from = self.at;
        match self.bytes.get(from + length..from + length + 2) {
            None => Err(Stop::Incomplete),
            Some(b"\r\n") => {
                self.at = from + length + 2;
                Ok(&self.bytes[from..from + length])
            }
            Some(_) => Err(broken("a bulk string does not end where its length says")),
        }
    }

    fn inline(&mut self) -> Result<Words<'a>, Stop> {
        let line = self.line("too big inline request")?;
        let words = unquote(line).ok_or_else(|| broken("unbalanced quotes in request"))?;
        if words.len() > ARGUMENTS_MAX {
            return Err(broken("too many arguments"));
        }
        Ok(words)
    }

    /// Takes a line. Returns it without its end, which may lack the carriage return.
    fn line(&mut self, too_long: &str) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(LINE_MAX)];
        match window.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.at += end + 1;
                Ok(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
            }
            None if window.len() == LINE_MAX => Err(broken(too_long)),
            None => Err(Stop::Incomplete),
        }
    }
}

fn broken(text: &str) -> Stop {
    Stop::Broken(text.to_owned())
}

/// Parses the number after the type byte of a line.
fn number(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line.get(1..)?).ok()?.parse().ok()
}

/// Splits a line into words. Quotes join: `"a b\n"` with escapes, `'a b'` without.
fn unquote(line: &[u8]) -> Option<Words<'_>> {
    let mut words = Words::new();
    let mut rest = line.trim_ascii_start();
    while let Some(first) = rest.first() {
        let (word, after) = match first {
            b'"' | b'\'' => quoted(&rest[1..], *first)?,
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
        };
        if !after.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Some(words)
}

/// Takes a word up to its closing quote. Returns it and what follows.
fn quoted(bytes: &[u8], quote: u8) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut word = Vec::new();
    let mut at = 0;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (byte, _) if byte == quote => return Some((Cow::Owned(word), &bytes[at + 1..])),
            (b'\\', Some(escaped)) if quote == b'"' || *escaped == quote => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                at += 2;
            }
            (byte, _) => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
        match parse(bytes) {
            Parsed::Request(words, n) => (words.into_iter().map(Cow::into_owned).collect(), n),
            other => panic!("{other:?}"),
        }
    }

    fn error(bytes: &[u8]) -> String {
        match parse(bytes) {
            Parsed::Broken(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_cut_anywhere_is_incomplete() {
        let whole = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Parsed::Incomplete, "{end}");
        }
        assert_eq!(words(whole), (vec![b"GET".to_vec(), b"a\r\nb".to_vec()], whole.len()));
    }

    #[test]
    fn a_second_request_stays_in_the_buffer() {
        assert_eq!(words(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n").1, 14);
    }

    #[test]
    fn inline_requests_are_split_at_spaces_and_quotes_join() {
        let (found, n) = words(b"SET  key \"a \\\"b\\\"\\n\" 'c \\n'\r\nPING\r\n");
        assert_eq!(found, [&b"SET"[..], b"key", b"a \"b\"\n", b"c \\n"]);
        assert_eq!(n, 29);
        assert_eq!(words(b"\r\n"), (vec![], 2));
        assert_eq!(error(b"GET \"a\r\n"), "ERR Protocol error: unbalanced quotes in request");
        assert_eq!(error(b"GET \"a\"b\r\n"), "ERR Protocol error: unbalanced quotes in request");
    }

    #[test]
    fn lengths_over_the_limits_are_refused_before_their_bytes_arrive() {
        let of_length = |length: usize| format!("*1\r\n${length}\r\n").into_bytes();
        assert_eq!(parse(&of_length(BULK_MAX)), Parsed::Incomplete);
        assert_eq!(error(&of_length(BULK_MAX + 1)), "ERR Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$-1\r\n"), "ERR Protocol error: invalid bulk length");
        assert_eq!(parse(format!("*{ARGUMENTS_MAX}\r\n").as_bytes()), Parsed::Incomplete);
        let over = format!("*{}\r\n", ARGUMENTS_MAX + 1);
        assert_eq!(error(over.as_bytes()), "ERR Protocol error: invalid multibulk length");
        assert_eq!(error(b"*x\r\n"), "ERR Protocol error: invalid multibulk length");
        assert_eq!(error(b"*1\r\n+OK\r\n"), "ERR Protocol error: expected '$', got '+'");
        assert_eq!(error(&[b'a'; LINE_MAX]), "ERR Protocol error: too big inline request");
        assert_eq!(parse(&[b'a'; LINE_MAX - 1]), Parsed::Incomplete);
    }

    #[test]
    fn a_request_of_many_long_arguments_is_refused_at_the_limit() {
        let mut bytes = b"*100\r\n".to_vec();
        while bytes.len() < REQUEST_MAX {
            assert_eq!(parse(&bytes), Parsed::Incomplete);
            bytes.extend_from_slice(format!("${BULK_MAX}\r\n").as_bytes());
            bytes.resize(bytes.len() + BULK_MAX, b'a');
            bytes.extend_from_slice(b"\r\n");
        }
        assert_eq!(error(&bytes), format!("ERR Protocol error: more than {REQUEST_MAX} bytes"));
    }
}
