//! Another instance of this program as a child process in a namespace. It never outlives its
//! [`Child`].
//!
//! `setpriv` (util-linux) makes the child receive SIGTERM when this process is killed. The child
//! has its own process group, so Ctrl-C in the terminal does not reach it; the parent stops it in
//! an orderly way.

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

/// Interval at which waits check the stop flag.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Time that a child has to exit after SIGTERM, before SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running child.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    /// Chunks of standard output; disconnected when the child closes it.
    output: Receiver<Vec<u8>>,
    stdout: Vec<u8>,
    stderr: Option<JoinHandle<String>>,
    command: String,
}

impl Child {
    /// Starts `linerate ARGUMENTS` in the namespace of `end`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub(crate) fn spawn(end: &End, arguments: &[impl AsRef<OsStr>]) -> Result<Self, Failure> {
        let line = format!("linerate {}", text(arguments));
        // /proc/self/exe would resolve to `setpriv`. The path with our process id keeps pointing to
        // this program, even if its file is replaced meanwhile.
        let program = format!("/proc/{}/exe", std::process::id());
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=TERM").arg(program).args(arguments);
        Self::start(end, command, line)
    }

    /// Starts another program in the namespace of `end`: its name and its arguments.
    ///
    /// # Errors
    /// When the process cannot be started. A program that is not installed fails later, when its
    /// output is awaited.
    pub(crate) fn spawn_tool(end: &End, words: &[impl AsRef<OsStr>]) -> Result<Self, Failure> {
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=TERM").args(words);
        Self::start(end, command, text(words))
    }

    fn start(end: &End, mut command: Command, line: String) -> Result<Self, Failure> {
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = end.run(move || command.spawn()).map_err(|error| {
            let tried = format!("cannot start `{line}`");
            Failure::new(tried, error, "install util-linux (`setpriv`)")
        })?;
        Ok(Self::watch(process, line))
    }

    fn watch(mut process: std::process::Child, command: String) -> Self {
        let (sender, output) = channel();
        let mut stdout = process.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(len @ 1..) = stdout.read(&mut chunk) {
                if sender.send(chunk[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut stderr = process.stderr.take().expect("stderr is piped");
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { process, output, stdout: Vec::new(), stderr: Some(stderr), command }
    }

    /// Waits for the first line of standard output.
    ///
    /// # Errors
    /// When the child exits first, takes longer than `limit`, or `stop` is raised.
    pub(crate) fn await_line(&mut self, limit: Duration, stop: &Stop) -> Result<(), Failure> {
        self.read_until(limit, stop, |stdout| stdout.contains(&b'\n')).and_then(|state| match state
        {
            State::Running => Ok(()),
            State::Exited => Err(self.failed()),
        })
    }

    /// Waits for the child to exit. Returns its standard output and standard error.
    ///
    /// # Errors
    /// When the child fails, takes longer than `limit`, or `stop` is raised.
    pub(crate) fn await_end(
        mut self,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(String, String), Failure> {
        match self.read_until(limit, stop, |_| false)? {
            State::Exited if self.process.wait().is_ok_and(|status| status.success()) => {
                Ok((String::from_utf8_lossy(&self.stdout).into_owned(), self.stderr()))
            }
            _ => Err(self.failed()),
        }
    }

    /// Stops the child, waits for it to exit, and returns its standard error.
    pub(crate) fn finish(mut self) -> String {
        self.stop();
        self.stderr()
    }

    fn read_until(
        &mut self,
        limit: Duration,
        stop: &Stop,
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> Result<State, Failure> {
        let until = Instant::now() + limit;
        loop {
            if is_enough(&self.stdout) {
                return Ok(State::Running);
            }
            match self.output.recv_timeout(POLL_INTERVAL) {
                Ok(chunk) => self.stdout.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return Ok(State::Exited),
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
        self.stop();
        let stderr = self.stderr();
        let wrong = match stderr.trim() {
            "" => "it did not finish in time".to_owned(),
            text => text.to_owned(),
        };
        let tried = format!("cannot run `{}` in a namespace", self.command);
        Failure::new(
            tried,
            wrong,
            "fix the reported cause; `linerate check` shows what this host supports",
        )
    }

    fn stderr(&mut self) -> String {
        self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    /// Sends SIGTERM, and SIGKILL if the child does not exit in time.
    fn stop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let until = Instant::now() + STOP_TIMEOUT;
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
        self.stop();
    }
}

fn text(words: &[impl AsRef<OsStr>]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    words.join(" ")
}

/// State of the child process.
enum State {
    Running,
    Exited,
}

/// Returns the failure of a run that a signal interrupted.
pub(crate) fn interrupted() -> Failure {
    Failure::new("the run was interrupted", "received a signal", "run it again and let it finish")
}
