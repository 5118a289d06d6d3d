//! A spinner on a terminal; nothing where standard error is no terminal. Logs and lines go around it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

static SPINNER: OnceLock<ProgressBar> = OnceLock::new();

/// Shows the state on a terminal.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A spinner, where standard error is a terminal.
    pub(crate) fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = SPINNER.get_or_init(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(Some(bar.clone()))
    }

    /// Replaces the text.
    pub(crate) fn show(&self, text: impl fmt::Display) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.to_string());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Does something with the spinner out of the way.
pub(crate) fn aside<T>(action: impl FnOnce() -> T) -> T {
    match SPINNER.get() {
        Some(bar) => bar.suspend(action),
        None => action(),
    }
}

/// Where the logs go: standard error, around the spinner.
#[derive(Clone, Copy)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        aside(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
