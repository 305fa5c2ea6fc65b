//! Commands: a request to a reply and a change of the store.

use std::borrow::Cow;

use linerate::{Duration, Instant};

use super::reply;
use super::store::{Expiry, Full, Store};

/// Most bytes of the reply to one command. Only MGET comes near: it may name a key many times.
const REPLY_MAX: usize = 8 << 20;

/// Latest deadline that is accepted: a hundred years from now.
const DEADLINE_MAX_MS: i64 = 100 * 365 * 24 * 3600 * 1000;

/// The connection after a command.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Quit,
}

/// A command in progress: where it reads, writes and answers.
struct Call<'a> {
    store: &'a mut Store,
    now: Instant,
    out: &'a mut Vec<u8>,
}

/// The reason why a command has no result: a line of Redis' error replies.
type Refused = Cow<'static, str>;

const SYNTAX: Refused = Cow::Borrowed("ERR syntax error");
const NOT_A_NUMBER: Refused = Cow::Borrowed("ERR value is not an integer or out of range");

/// Executes a request and appends its reply. An empty request has none.
pub(super) fn execute(
    words: &[Cow<'_, [u8]>],
    store: &mut Store,
    now: Instant,
    out: &mut Vec<u8>,
) -> Flow {
    let Some((name, arguments)) = words.split_first() else { return Flow::Continue };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let arguments: Vec<&[u8]> = arguments.iter().map(|word| &**word).collect();
    let before = out.len();
    let mut call = Call { store, now, out };
    match call.dispatch(&name, &arguments) {
        Ok(flow) => flow,
        Err(text) => {
            out.truncate(before);
            reply::error(out, &text);
            Flow::Continue
        }
    }
}

impl Call<'_> {
    fn dispatch(&mut self, name: &str, arguments: &[&[u8]]) -> Result<Flow, Refused> {
        match (name, arguments) {
            ("PING", []) => self.simple("PONG"),
            ("PING" | "ECHO", [text]) => self.bulk(Some(text)),
            ("GET", [key]) => {
                reply::bulk(self.out, self.store.value(key, self.now));
                Ok(Flow::Continue)
            }
            ("SET", [key, value, options @ ..]) => self.set(key, value, options),
            ("MGET", [_, ..]) => self.mget(arguments),
            ("MSET", [_, _, ..]) if arguments.len().is_multiple_of(2) => self.mset(arguments),
            ("DEL" | "UNLINK", [_, ..]) => {
                self.count(arguments, |store, key, now| store.remove(key, now))
            }
            ("EXISTS", [_, ..]) => {
                self.count(arguments, |store, key, now| store.value(key, now).is_some())
            }
            ("STRLEN", [key]) => {
                let length = self.store.value(key, self.now).map_or(0, <[u8]>::len);
                self.integer(length as i64)
            }
            ("EXPIRE", [key, seconds]) => self.expire(key, seconds, 1000),
            ("PEXPIRE", [key, milliseconds]) => self.expire(key, milliseconds, 1),
            ("TTL", [key]) => self.ttl(key, 1000),
            ("PTTL", [key]) => self.ttl(key, 1),
            ("PERSIST", [key]) => self.persist(key),
            ("INCR", [key]) => self.add(key, 1),
            ("DECR", [key]) => self.add(key, -1),
            ("INCRBY", [key, by]) => self.add(key, integer(by)?),
            ("DECRBY", [key, by]) => self.add(key, integer(by)?.checked_neg().ok_or(NOT_A_NUMBER)?),
            _ => self.dispatch_server(name, arguments),
        }
    }

    /// Commands about the server, as far as clients need them to start.
    fn dispatch_server(&mut self, name: &str, arguments: &[&[u8]]) -> Result<Flow, Refused> {
        match (name, arguments) {
            ("DBSIZE", []) => {
                self.store.expire(self.now);
                self.integer(self.store.len() as i64)
            }
            ("FLUSHALL" | "FLUSHDB", _) => {
                self.store.clear();
                self.simple("OK")
            }
            ("SELECT", [b"0"]) => self.simple("OK"),
            ("SELECT", [_]) => Err("ERR DB index is out of range".into()),
            // Clients ask for settings and for the list of commands; an empty answer suits them.
            ("CONFIG", [get, ..]) if get.eq_ignore_ascii_case(b"GET") => self.nothing(),
            ("COMMAND", _) => self.nothing(),
            ("QUIT", []) => {
                reply::simple(self.out, "OK");
                Ok(Flow::Quit)
            }
            _ if KNOWN.contains(&name) => {
                let name = name.to_ascii_lowercase();
                Err(format!("ERR wrong number of arguments for '{name}' command").into())
            }
            _ => Err(format!("ERR unknown command '{name:.64}'").into()),
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8], options: &[&[u8]]) -> Result<Flow, Refused> {
        let options = SetOptions::parse(options, self.now)?;
        let exists = self.store.value(key, self.now).is_some();
        let is_wanted = match options.condition {
            Condition::Always => true,
            Condition::IfAbsent => !exists,
            Condition::IfPresent => exists,
        };
        if !is_wanted {
            return self.bulk(None);
        }
        self.store.set(key, value, options.expiry, self.now).map_err(full)?;
        self.simple("OK")
    }

    fn mset(&mut self, pairs: &[&[u8]]) -> Result<Flow, Refused> {
        for pair in pairs.chunks_exact(2) {
            self.store.set(pair[0], pair[1], Expiry::Never, self.now).map_err(full)?;
        }
        self.simple("OK")
    }

    fn mget(&mut self, keys: &[&[u8]]) -> Result<Flow, Refused> {
        let length = |key: &&[u8]| self.store.value(key, self.now).map_or(0, <[u8]>::len);
        if keys.iter().map(length).sum::<usize>() > REPLY_MAX {
            return Err(
                format!("ERR the reply exceeds {REPLY_MAX} bytes: ask for fewer keys").into()
            );
        }
        reply::array(self.out, keys.len());
        for key in keys {
            reply::bulk(self.out, self.store.value(key, self.now));
        }
        Ok(Flow::Continue)
    }

    /// Answers the number of keys for which `call` returns true.
    fn count(
        &mut self,
        keys: &[&[u8]],
        mut call: impl FnMut(&mut Store, &[u8], Instant) -> bool,
    ) -> Result<Flow, Refused> {
        let found = keys.iter().filter(|key| call(self.store, key, self.now)).count();
        self.integer(found as i64)
    }

    fn expire(&mut self, key: &[u8], span: &[u8], unit_ms: i64) -> Result<Flow, Refused> {
        let milliseconds = integer(span)?.checked_mul(unit_ms);
        let found = match milliseconds {
            // A deadline that has passed removes the key.
            Some(..=0) => self.store.remove(key, self.now),
            Some(milliseconds @ 1..=DEADLINE_MAX_MS) => {
                let at = self.now + Duration::from_millis(milliseconds as u64);
                self.store.set_deadline(key, Some(at), self.now)
            }
            _ => return Err("ERR invalid expire time in 'expire' command".into()),
        };
        self.integer(found.into())
    }

    fn ttl(&mut self, key: &[u8], unit_ms: u64) -> Result<Flow, Refused> {
        let left = match self.store.deadline(key, self.now) {
            None => -2,
            Some(None) => -1,
            // Rounded, as Redis does: TTL right after EXPIRE 10 is 10.
            Some(Some(at)) => ((at.since(self.now).as_millis() + unit_ms / 2) / unit_ms) as i64,
        };
        self.integer(left)
    }

    fn persist(&mut self, key: &[u8]) -> Result<Flow, Refused> {
        let has_deadline = self.store.deadline(key, self.now).flatten().is_some();
        if has_deadline {
            self.store.set_deadline(key, None, self.now);
        }
        self.integer(has_deadline.into())
    }

    fn add(&mut self, key: &[u8], by: i64) -> Result<Flow, Refused> {
        let value = self.store.value(key, self.now).map_or(Ok(0), integer)?;
        let sum = value.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
        let text = sum.to_string();
        self.store.set(key, text.as_bytes(), Expiry::Keep, self.now).map_err(full)?;
        self.integer(sum)
    }

    fn simple(&mut self, text: &str) -> Result<Flow, Refused> {
        reply::simple(self.out, text);
        Ok(Flow::Continue)
    }

    fn bulk(&mut self, bytes: Option<&[u8]>) -> Result<Flow, Refused> {
        reply::bulk(self.out, bytes);
        Ok(Flow::Continue)
    }

    fn integer(&mut self, number: i64) -> Result<Flow, Refused> {
        reply::integer(self.out, number);
        Ok(Flow::Continue)
    }

    fn nothing(&mut self) -> Result<Flow, Refused> {
        reply::array(self.out, 0);
        Ok(Flow::Continue)
    }
}

/// Commands that exist, for the error about a wrong number of arguments.
const KNOWN: [&str; 24] = [
    "PING", "ECHO", "GET", "SET", "MGET", "MSET", "DEL", "UNLINK", "EXISTS", "STRLEN", "EXPIRE",
    "PEXPIRE", "TTL", "PTTL", "PERSIST", "INCR", "DECR", "INCRBY", "DECRBY", "DBSIZE", "SELECT",
    "CONFIG", "COMMAND", "QUIT",
];

/// The keys for which SET stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

/// The options of SET: `EX seconds`, `PX milliseconds`, `KEEPTTL`, `NX`, `XX`.
struct SetOptions {
    condition: Condition,
    expiry: Expiry,
}

impl SetOptions {
    fn parse(mut words: &[&[u8]], now: Instant) -> Result<Self, Refused> {
        let mut options = Self { condition: Condition::Always, expiry: Expiry::Never };
        while let [word, rest @ ..] = words {
            words = rest;
            match &*word.to_ascii_uppercase() {
                b"NX" if options.condition == Condition::Always => {
                    options.condition = Condition::IfAbsent;
                }
                b"XX" if options.condition == Condition::Always => {
                    options.condition = Condition::IfPresent;
                }
                _ if options.expiry != Expiry::Never => return Err(SYNTAX),
                b"KEEPTTL" => options.expiry = Expiry::Keep,
                unit @ (b"EX" | b"PX") => {
                    let [span, rest @ ..] = rest else { return Err(SYNTAX) };
                    words = rest;
                    let unit_ms = if unit == b"EX" { 1000 } else { 1 };
                    options.expiry = Expiry::At(now + positive_span(span, unit_ms)?);
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }
}

fn positive_span(word: &[u8], unit_ms: i64) -> Result<Duration, Refused> {
    match integer(word)?.checked_mul(unit_ms) {
        Some(milliseconds @ 1..=DEADLINE_MAX_MS) => Ok(Duration::from_millis(milliseconds as u64)),
        _ => Err("ERR invalid expire time in 'set' command".into()),
    }
}

fn integer(word: &[u8]) -> Result<i64, Refused> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    number.ok_or(NOT_A_NUMBER)
}

fn full(_: Full) -> Refused {
    "OOM command not allowed when used memory > 'maxmemory'.".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executes lines, one second after the other, and returns the replies.
    fn replies(lines: &[&str]) -> String {
        let mut store = Store::default();
        let mut out = Vec::new();
        for (second, line) in lines.iter().enumerate() {
            let words: Vec<Cow<'_, [u8]>> =
                line.split(' ').map(|word| Cow::Borrowed(word.as_bytes())).collect();
            let now = Instant::ZERO + Duration::from_secs(second as u64);
            let flow = execute(&words, &mut store, now, &mut out);
            assert_eq!(flow, Flow::Continue, "{line}");
        }
        String::from_utf8(out).expect("text").replace("\r\n", " ").trim_end().to_owned()
    }

    #[test]
    fn values_are_set_counted_and_removed() {
        let lines = ["SET a 1", "incr a", "INCRBY a 40", "GET a", "MGET a b", "DEL a b", "GET a"];
        assert_eq!(replies(&lines), "+OK :2 :42 $2 42 *2 $2 42 $-1 :1 $-1");
    }

    #[test]
    fn deadlines_pass_move_and_go() {
        let lines = ["SET a 1 EX 3", "TTL a", "GET a", "GET a", "TTL a", "EXPIRE a 1"];
        assert_eq!(replies(&lines), "+OK :2 $1 1 $-1 :-2 :0");
        let lines = ["SET a 1", "TTL a", "EXPIRE a 9", "INCR a", "TTL a", "PERSIST a", "TTL a"];
        assert_eq!(replies(&lines), "+OK :-1 :1 :2 :7 :1 :-1");
        assert_eq!(replies(&["SET a 1", "EXPIRE a -1", "EXISTS a"]), "+OK :1 :0");
    }

    #[test]
    fn set_obeys_its_conditions() {
        let lines = ["SET a 1 XX", "SET a 1 NX", "SET a 2 NX", "SET a 3 XX PX 9", "GET a"];
        assert_eq!(replies(&lines), "$-1 +OK $-1 +OK $-1");
    }

    #[test]
    fn errors_are_those_of_redis() {
        for (lines, last) in [
            (&["NO x"][..], "-ERR unknown command 'NO'"),
            (&["GET"], "-ERR wrong number of arguments for 'get' command"),
            (&["MSET a"], "-ERR wrong number of arguments for 'mset' command"),
            (&["SET a 1 EX"], "-ERR syntax error"),
            (&["SET a 1 EX 0"], "-ERR invalid expire time in 'set' command"),
            (&["SET a x", "INCR a"], "+OK -ERR value is not an integer or out of range"),
            (
                &["SET a 9223372036854775807", "INCR a"],
                "+OK -ERR increment or decrement would overflow",
            ),
        ] {
            assert_eq!(replies(lines), last);
        }
    }
}
