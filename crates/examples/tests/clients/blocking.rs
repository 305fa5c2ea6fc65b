//! `blocking`: threads with blocking calls.

use crate::namespaces::Net;
use crate::{example, exchange};

#[test]
fn blocking_answers_each_line_with_its_length_on_many_connections() {
    let net = Net::new();
    let mut server = example(&net, "blocking", &[]);
    for round in 0..20_usize {
        let lines: String =
            (0..200).map(|n| format!("{}\n", "x".repeat((n * round) % 97))).collect();
        let lengths: String = (0..200).map(|n| format!("{}\n", (n * round) % 97)).collect();
        let answer = exchange(&net, 7000, lines.into_bytes());
        assert_eq!(String::from_utf8(answer).expect("digits"), lengths);
    }
    assert_eq!(server.stop(), Some(0));
}
