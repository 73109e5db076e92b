//! What a collector is, and what it is given.

use std::path::Path;
use std::time::SystemTime;

use crate::error::{CollectError, Malformed};
use crate::samples::Samples;
use crate::tree::{Folder, Text};

/// One of node_exporter's collectors.
pub(crate) trait Collector {
    /// Measures. On an error the samples that were added are dropped.
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError>;
}

/// What is the same for all collectors of one scrape.
pub(crate) struct Scrape<'a> {
    /// Below which everything is read.
    pub root: &'a Folder,
    /// The same, where a path is needed.
    pub root_path: &'a Path,
    /// When.
    pub now: SystemTime,
    /// The buffer for the file that is being read.
    pub text: &'a mut Text,
    /// The first thing that was not understood and left out: the other samples stay, and the collector counts as failed.
    pub complaint: Option<CollectError>,
}

impl Scrape<'_> {
    /// A file of `/proc` through its parser, which may keep nothing of the text.
    pub(crate) fn parse<T>(
        &mut self,
        path: &str,
        parser: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Result<T, CollectError> {
        let text = self.root.read(path, self.text)?;
        parser(text).map_err(|e| e.at(path))
    }

    /// A number of a folder; one that is not understood is complained about and left out.
    pub(crate) fn number(&mut self, folder: &Folder, name: &str) -> Option<f64> {
        let read = folder.number(name, self.text);
        self.keep(read)
    }

    /// A text of a folder without surrounding white space; one that is too large is complained about and left out.
    pub(crate) fn label(&mut self, folder: &Folder, name: &str) -> Option<String> {
        let read = folder
            .attribute(name, self.text)
            .map(|found| found.map(|text| text.trim().to_owned()));
        self.keep(read)
    }

    fn keep<T>(&mut self, read: Result<Option<T>, CollectError>) -> Option<T> {
        match read {
            Ok(value) => value,
            Err(e) => {
                self.complaint.get_or_insert(e);
                None
            }
        }
    }
}
