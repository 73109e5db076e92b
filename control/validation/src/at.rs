//! Where validation is, as a chain of borrowed steps: text is made only when there is an error to report.

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

/// The most errors that one object gets: whoever reads them needs no more, and each costs memory.
const ERRORS_MAX: usize = 500;

/// Adds an error unless there are too many.
pub(crate) fn report(errors: &mut ErrorList, error: FieldError) {
    if errors.len() < ERRORS_MAX {
        errors.push(error);
    }
}

/// A place in an object, linked to its parent.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> At<'a> {
    pub(crate) const fn root(name: &'a str) -> At<'a> {
        At {
            parent: None,
            step: Step::Field(name),
        }
    }

    pub(crate) const fn child(&'a self, name: &'a str) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    pub(crate) const fn index(&'a self, index: usize) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    pub(crate) const fn key(&'a self, key: &'a str) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    pub(crate) fn path(&self) -> Path {
        let parent = self.parent.map_or_else(Path::root, At::path);
        match self.step {
            Step::Field("") => parent,
            Step::Field(name) => parent.child(name),
            Step::Index(i) => parent.index(i),
            Step::Key(key) => parent.key(key),
        }
    }

    pub(crate) fn required(&self, errors: &mut ErrorList, detail: &str) {
        report(errors, FieldError::required(self.path(), detail));
    }

    pub(crate) fn invalid(&self, errors: &mut ErrorList, value: impl Into<Value>, detail: &str) {
        report(errors, FieldError::invalid(self.path(), value, detail));
    }

    /// One error for each complaint of a rule of [`minicloud_api::names`].
    pub(crate) fn complain(
        &self,
        errors: &mut ErrorList,
        value: impl Into<Value>,
        complaints: Vec<String>,
    ) {
        if complaints.is_empty() {
            return;
        }
        let value = value.into();
        for complaint in complaints {
            report(
                errors,
                FieldError::invalid(self.path(), value.clone(), complaint),
            );
        }
    }

    pub(crate) fn duplicate(&self, errors: &mut ErrorList, value: impl Into<Value>) {
        report(errors, FieldError::duplicate(self.path(), value));
    }

    pub(crate) fn forbidden(&self, errors: &mut ErrorList, detail: &str) {
        report(errors, FieldError::forbidden(self.path(), detail));
    }

    pub(crate) fn unsupported(
        &self,
        errors: &mut ErrorList,
        value: impl Into<Value>,
        supported: &[&str],
    ) {
        report(
            errors,
            FieldError::not_supported(self.path(), value, supported),
        );
    }

    pub(crate) fn not_found(&self, errors: &mut ErrorList, value: impl Into<Value>) {
        report(errors, FieldError::not_found(self.path(), value));
    }

    pub(crate) fn too_long(&self, errors: &mut ErrorList, max_bytes: usize) {
        report(errors, FieldError::too_long(self.path(), max_bytes));
    }

    pub(crate) fn too_many(&self, errors: &mut ErrorList, actual: usize, max: usize) {
        report(errors, FieldError::too_many(self.path(), actual, max));
    }
}
