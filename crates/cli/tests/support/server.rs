//! A server in a process of its own that prints `ready`. The tests of the examples include this
//! file, too.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A running server, stopped on drop.
pub(crate) struct Server {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Server {
    /// Starts a server and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // Returns when the child closes its end.
            let _ = stderr.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut first).expect("standard output is text");
        let mut server = Self { child, log };
        if first != "ready\n" {
            let log = server.log();
            panic!("{command:?}: expected `ready`, got {first:?}\n{log}");
        }
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        server
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal);
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Stops the server with SIGTERM and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }

    /// Returns the exit code if the server has exited.
    pub(crate) fn exited(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Stops the server and returns the counters from its log, by name.
    pub(crate) fn counters(&mut self) -> BTreeMap<String, u64> {
        self.stop();
        let text = self.log.recv_timeout(Duration::from_secs(5)).unwrap_or_default();
        let count = |line: &str| {
            let (name, count) = line.split_once(": ")?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        text.lines().filter_map(count).collect()
    }

    fn log(&mut self) -> String {
        self.kill();
        self.log.recv_timeout(Duration::from_secs(5)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|s| s.is_none()) {
            self.stop();
        }
    }
}
