//! The newest line of each node, and who reads them.
//!
//! Each line has a number, higher than all before it. A reader knows the highest number that it has seen and takes what is higher,
//! so it needs no queue, and one that is slow skips lines that are no longer true.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// Lines of nodes that are gone are kept for those who still have to hear of it, up to so many.
const MAX_GONE: usize = 256;

/// A line as it is sent, with its line end.
pub type Line = Arc<str>;

#[derive(Debug, Default)]
struct State {
    lines: BTreeMap<String, Entry>,
    last: u64,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    line: Line,
    gone: bool,
}

/// Where lines are put.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    /// Rung for each new reader.
    came: tokio::sync::Notify,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: watch::Sender::default(),
            came: tokio::sync::Notify::new(),
        }
    }
}

impl Board {
    /// A reader, who gets the lines that are there and then new ones; none when there are `limit` of them.
    pub fn read(&self, limit: usize) -> Option<Reader> {
        if self.readers() >= limit {
            return None;
        }
        let state = self.0.state.subscribe();
        let joined = state.borrow().last;
        self.0.came.notify_one();
        Some(Reader {
            state,
            seen: 0,
            joined,
        })
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.0.state.receiver_count()
    }

    /// Returns when there is a reader.
    pub async fn first_reader(&self) {
        while self.readers() == 0 {
            self.0.came.notified().await;
        }
    }

    /// Returns when there is no reader.
    pub async fn no_reader(&self) {
        self.0.state.closed().await;
    }

    /// Puts a node's newest line.
    pub fn put(&self, node: &str, line: Line) {
        self.set(node, line, false);
    }

    /// Puts the last line of a node that is no more.
    pub fn gone(&self, node: &str, line: Line) {
        self.set(node, line, true);
    }

    fn set(&self, node: &str, line: Line, gone: bool) {
        self.0.state.send_modify(|state| {
            state.last += 1;
            let entry = Entry {
                number: state.last,
                line,
                gone,
            };
            state.lines.insert(node.to_owned(), entry);
            let dead = state.lines.values().filter(|entry| entry.gone).count();
            if dead > MAX_GONE {
                let oldest = state.lines.iter().filter(|(_, entry)| entry.gone);
                let oldest = oldest.min_by_key(|(_, entry)| entry.number);
                if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                    state.lines.remove(&name);
                }
            }
        });
    }

    /// Forgets all lines: what was true when somebody last read is not to be shown to the next one.
    pub fn clear(&self) {
        self.0.state.send_modify(|state| state.lines.clear());
    }

    /// Ends all readers, those to come too.
    pub fn close(&self) {
        self.0.state.send_modify(|state| state.closed = true);
    }
}

/// Somebody who reads lines.
#[derive(Debug)]
pub struct Reader {
    state: watch::Receiver<State>,
    seen: u64,
    joined: u64,
}

impl Reader {
    /// What is new, oldest first, when there is something; `None` at the end. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Vec<Line>> {
        loop {
            let new = {
                let state = self.state.borrow_and_update();
                if state.closed {
                    return None;
                }
                let mut new: Vec<(u64, Line)> = state
                    .lines
                    .values()
                    .filter(|entry| entry.number > self.seen)
                    // Who came after a node had gone never knew of it.
                    .filter(|entry| !entry.gone || entry.number > self.joined)
                    .map(|entry| (entry.number, entry.line.clone()))
                    .collect();
                self.seen = state.last;
                new.sort_by_key(|(number, _)| *number);
                new
            };
            if !new.is_empty() {
                return Some(new.into_iter().map(|(_, line)| line).collect());
            }
            self.state.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn next(reader: &mut Reader) -> Option<Option<Vec<String>>> {
        let lines = reader.next().now_or_never()?;
        Some(lines.map(|lines| lines.iter().map(ToString::to_string).collect()))
    }

    fn check(reader: &mut Reader, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(next(reader), Some(Some(expected)));
    }

    #[test]
    fn readers_get_the_newest_lines_once() {
        let board = Board::default();
        let mut early = board.read(2).unwrap();
        assert_eq!(next(&mut early), None);
        board.put("a", "a1".into());
        board.put("b", "b1".into());
        check(&mut early, &["a1", "b1"]);
        assert_eq!(next(&mut early), None);
        for n in 2..1000 {
            board.put("a", format!("a{n}").into());
        }
        check(&mut early, &["a999"]);
        let mut late = board.read(2).unwrap();
        check(&mut late, &["b1", "a999"]);
        assert!(board.read(2).is_none(), "a third");
        drop(late);
        assert_eq!(board.readers(), 1);
        board.close();
        assert_eq!(next(&mut early), Some(None));
        assert_eq!(next(&mut board.read(2).unwrap()), Some(None));
    }

    #[test]
    fn those_who_knew_a_node_hear_that_it_is_gone() {
        let board = Board::default();
        let mut early = board.read(9).unwrap();
        board.put("a", "a1".into());
        check(&mut early, &["a1"]);
        board.gone("a", "no a".into());
        let mut late = board.read(9).unwrap();
        assert_eq!(next(&mut late), None);
        check(&mut early, &["no a"]);
        board.put("a", "a2".into());
        check(&mut late, &["a2"]);
        for n in 0..2 * MAX_GONE {
            board.gone(&format!("n{n}"), "x".into());
        }
        board.put("a", "a3".into());
        assert_eq!(board.0.state.borrow().lines.len(), MAX_GONE + 1);
    }

    #[tokio::test]
    async fn it_is_known_whether_somebody_reads() {
        let board = Board::default();
        board.no_reader().await;
        assert!(board.first_reader().now_or_never().is_none());
        let reader = board.read(1).unwrap();
        board.first_reader().await;
        assert!(board.no_reader().now_or_never().is_none());
        drop(reader);
        board.no_reader().await;
        // The bell of a reader who left is no reader.
        assert!(board.first_reader().now_or_never().is_none());
    }
}
