//! The program, started again in another part; lines on its standard streams are the conversation.

use crate::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The arguments that choose a part.
pub(crate) const PROVIDER: &str = "provider";
pub(crate) const CONTESTANT: &str = "contestant";

/// How long a busy machine may take over anything.
const PATIENCE: Duration = Duration::from_secs(300);

/// A part under way. It ends when this is dropped.
pub(crate) struct Part {
    child: Child,
    to: ChildStdin,
    from: Receiver<String>,
}

impl Part {
    pub(crate) fn start(arguments: &[String]) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let (lines, from) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, to, from })
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Error> {
        writeln!(self.to, "{line}")?;
        Ok(())
    }

    /// The rest of the next line that begins with this word; other lines are passed over.
    pub(crate) fn hear(&self, word: &str) -> Result<String, Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.from.recv_timeout(left).map_err(|_| format!("no word `{word}` from a part"))?;
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    pub(crate) fn ask(&mut self, question: &str, word: &str) -> Result<String, Error> {
        self.tell(question)?;
        self.hear(word)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nanoseconds on a clock that all processes of this computer share.
pub(crate) fn now() -> u64 {
    nanoseconds(rustix::time::ClockId::Monotonic)
}

/// CPU time of this process so far, in user and system mode, of all its threads, in nanoseconds.
pub(crate) fn cpu() -> u64 {
    nanoseconds(rustix::time::ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    let whole = u64::try_from(time.tv_sec).unwrap_or_default();
    whole * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// A line to whoever started this part.
pub(crate) fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // When nobody listens any more, this process is about to be ended.
    let _ = writeln!(output, "{line}");
}

/// The id of the verification with this number.
pub(crate) fn id(number: usize) -> String {
    format!("verification-{number:06}")
}
