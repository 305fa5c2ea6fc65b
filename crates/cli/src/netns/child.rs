//! This program once more, as a child in a namespace, never for longer than it is waited for.
//!
//! `setpriv` (util-linux) has the child end when this process is killed. The child is in a process group of
//! its own, out of the terminal's: on Ctrl-C we stop it, in order.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::pair::End;
use crate::failure::Failure;
use crate::stop::Stop;

/// How often a wait looks whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a child may take to end when asked.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running child.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    /// Chunks of its standard output; disconnected at its end.
    output: Receiver<Vec<u8>>,
    said: Vec<u8>,
    complaints: Option<JoinHandle<String>>,
    command: String,
}

impl Child {
    /// Starts `linerate ARGUMENTS` at `end`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn spawn(end: &End, arguments: &[impl AsRef<OsStr>]) -> Result<Self, Failure> {
        let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        let line = format!("linerate {}", words.join(" "));
        // Not /proc/self/exe, which would be `setpriv` by the time it is looked at; but what it stands for,
        // by our number, so that it holds even if the file was replaced meanwhile.
        let program = format!("/proc/{}/exe", std::process::id());
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=TERM").arg(program).args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = end.run(move || command.spawn()).map_err(|error| {
            let tried = format!("cannot start `{line}`");
            Failure::new(tried, error, "install util-linux (`setpriv`)")
        })?;
        Ok(Self::watch(process, line))
    }

    fn watch(mut process: std::process::Child, command: String) -> Self {
        let (sender, output) = channel();
        let mut stdout = process.stdout.take().expect("it was piped");
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = stdout.read(&mut chunk) {
                if sender.send(chunk[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut stderr = process.stderr.take().expect("it was piped");
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { process, output, said: Vec::new(), complaints: Some(complaints), command }
    }

    /// Waits for a first line of output.
    ///
    /// # Errors
    /// When the child ends first, takes longer than `limit`, or we are to stop.
    pub fn await_line(&mut self, limit: Duration, stop: &Stop) -> Result<(), Failure> {
        self.read_until(limit, stop, |said| said.contains(&b'\n')).and_then(|ended| match ended {
            Ended::No => Ok(()),
            Ended::Yes => Err(self.failed()),
        })
    }

    /// Waits for the child's end and gives what it wrote to standard output and to standard error.
    ///
    /// # Errors
    /// When it fails, takes longer than `limit`, or we are to stop.
    pub fn await_end(mut self, limit: Duration, stop: &Stop) -> Result<(String, String), Failure> {
        match self.read_until(limit, stop, |_| false)? {
            Ended::Yes if self.process.wait().is_ok_and(|status| status.success()) => {
                Ok((String::from_utf8_lossy(&self.said).into_owned(), self.complaints()))
            }
            _ => Err(self.failed()),
        }
    }

    /// Asks the child to end and waits; gives what it had to say on standard error.
    pub fn finish(mut self) -> String {
        self.end();
        self.complaints()
    }

    fn read_until(
        &mut self,
        limit: Duration,
        stop: &Stop,
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> Result<Ended, Failure> {
        let until = Instant::now() + limit;
        loop {
            if is_enough(&self.said) {
                return Ok(Ended::No);
            }
            match self.output.recv_timeout(LOOK_EVERY) {
                Ok(chunk) => self.said.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Yes),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop.is_raised() {
                return Err(interrupted());
            }
            if Instant::now() > until {
                return Err(self.failed());
            }
        }
    }

    fn failed(&mut self) -> Failure {
        self.end();
        let said = self.complaints();
        let wrong = match said.trim() {
            "" => "it did not come to its end in time".to_owned(),
            text => text.to_owned(),
        };
        let tried = format!("cannot run `{}` in a namespace", self.command);
        Failure::new(
            tried,
            wrong,
            "mend what it says; `linerate check` tells what this host can do",
        )
    }

    fn complaints(&mut self) -> String {
        self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    /// SIGTERM; one that does not listen is killed.
    fn end(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let until = Instant::now() + FAREWELL;
        while let Ok(None) = self.process.try_wait() {
            if Instant::now() > until {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether the child has ended.
enum Ended {
    No,
    Yes,
}

/// A signal came.
pub fn interrupted() -> Failure {
    Failure::new("the run was stopped", "a signal came", "run it again to its end")
}
