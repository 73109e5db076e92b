//! A program that runs beside the test: a watch, a forwarded port, a session on a terminal.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::eventually;

/// The program; ended when dropped.
#[derive(Debug)]
pub struct Background {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    name: String,
}

impl Background {
    /// Starts it. What it prints, also as errors, is kept in memory.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut start = || -> anyhow::Result<Self> {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let said = Arc::new(Mutex::new(Vec::new()));
            keep(child.stdout.take().context("no output")?, said.clone());
            keep(child.stderr.take().context("no errors")?, said.clone());
            let name = name.clone();
            Ok(Self { child, said, name })
        };
        start().unwrap_or_else(|e| panic!("cannot start {name}: {e:#}"))
    }

    /// All that it printed until now.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until it has printed this.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for(&self, part: &str) {
        eventually(&self.name, Duration::from_secs(20), || {
            let said = self.said();
            ensure!(said.contains(part), "no {part:?} in {said:?}");
            Ok(())
        });
    }

    /// Types a line.
    ///
    /// # Panics
    /// When it no longer reads.
    pub fn types(&mut self, line: &str) {
        let typed = match &mut self.child.stdin {
            Some(stdin) => writeln!(stdin, "{line}").and_then(|()| stdin.flush()),
            None => return,
        };
        typed.unwrap_or_else(|e| panic!("{} does not read: {e}\n{}", self.name, self.said()));
    }

    /// Closes its input.
    pub fn ends_input(&mut self) {
        self.child.stdin.take();
    }

    /// Waits for its end and returns its exit code.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn code(&mut self) -> Option<i32> {
        let (child, said) = (&mut self.child, &self.said);
        eventually(&self.name, Duration::from_secs(30), || {
            let status = child.try_wait()?.with_context(|| {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                format!("it still runs: {}", String::from_utf8_lossy(&said))
            })?;
            Ok(status.code())
        })
    }
}

/// Keeps what a pipe says, until its end.
fn keep(mut pipe: impl Read + Send + 'static, said: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.extend_from_slice(&buffer[..length]);
        }
    });
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
