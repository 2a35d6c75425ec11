//! What went wrong, as a person is told: a message, its causes, one sentence that says what to do, an exit code.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use floe_core::{Error, ErrorKind, Remedy};
use rustix::io::Errno;
use serde::Serialize;

use crate::advice;

/// What to do about what another version wrote.
const TOO_NEW: &str = "Use a version of Floe or a store that can do it; `floe --version` tells this one.";

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done,
    /// Failed, or with `--exit-code` found differences.
    Failed,
    /// The command line or the configuration cannot be.
    Usage,
    /// Corrupt data were found.
    Corrupt,
    /// Somebody else was first.
    Race,
    /// Stopped by this signal.
    Signal(u8),
}

impl Code {
    fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Corrupt => 3,
            Self::Race => 4,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    /// What the engine calls it, where it is the engine's.
    kind: Option<ErrorKind>,
    remedy: Option<Remedy>,
    message: String,
    causes: Vec<String>,
    advice: String,
    silent: bool,
}

impl Failure {
    /// A failure with a message, which is lowercase, and a sentence that says what to do.
    pub(crate) fn new(code: Code, message: impl Into<String>, advice: impl Into<String>) -> Self {
        let (message, advice) = (message.into(), advice.into());
        Self { code, kind: None, remedy: None, message, causes: Vec::new(), advice, silent: false }
    }

    /// A command line that cannot be, in a way that its grammar does not tell.
    pub(crate) fn usage(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Code::Usage, message, advice)
    }

    /// Something is of another version.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: Some(ErrorKind::Unsupported), ..Self::new(Code::Failed, message, TOO_NEW) }
    }

    /// A failure of the machine.
    pub(crate) fn io(message: impl Into<String>, cause: io::Error) -> Self {
        Self::from(Error::io(message, cause))
    }

    /// Standard output cannot be written. Whoever closed it has read enough, and that is no failure to tell of.
    pub(crate) fn output(cause: io::Error) -> Self {
        let closed = cause.kind() == io::ErrorKind::BrokenPipe;
        let full = is_full(&cause);
        let mut failure = Self::io("cannot write to standard output", cause);
        if full {
            failure = failure.advise("Make room where the output goes, then run the command again.");
        }
        if closed {
            failure.code = Code::Done;
            failure.silent = true;
        }
        failure
    }

    /// The command was interrupted, by Ctrl-C unless [`Failure::by_signal`] knows better.
    pub(crate) fn interrupted() -> Self {
        Self::from(Error::new(ErrorKind::Cancelled, "interrupted"))
    }

    /// The command was interrupted, and did not get to clean up behind itself.
    pub(crate) fn interrupted_uncleaned() -> Self {
        let message = "interrupted; the store did not answer in time to clean up behind the command";
        Self::from(Error::new(ErrorKind::Cancelled, message)).advise(
            "See with `floe log` whether the ref was moved, and run the command again if not; what is left behind is \
             a lease, and unfinished uploads for the bucket's rule.",
        )
    }

    /// The same failure; where it is an interruption, the one by this signal.
    #[must_use]
    pub(crate) fn by_signal(mut self, signal: Option<u8>) -> Self {
        if let (Code::Signal(_), Some(signal)) = (self.code, signal) {
            self.code = Code::Signal(signal);
        }
        self
    }

    /// The same failure with another sentence that says what to do.
    #[must_use]
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// The same failure with another exit code.
    #[must_use]
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The failure of an error, with another sentence that says what to do where it is of one of these kinds.
    pub(crate) fn advised(error: Error, kinds: &[ErrorKind], advice: &str) -> Self {
        let is_advised = kinds.contains(&error.kind());
        let failure = Self::from(error);
        if is_advised { failure.advise(advice) } else { failure }
    }

    /// Whether it is an error of the engine of this kind.
    pub(crate) fn is(&self, kind: ErrorKind) -> bool {
        self.kind == Some(kind)
    }

    /// What helps, where the engine knows more of that than the kind says.
    pub(crate) fn remedy(&self) -> Option<Remedy> {
        self.remedy
    }

    /// What the program exits with.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Whether nothing is to be said.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// What failed.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Why, the nearest cause first.
    pub(crate) fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to do.
    pub(crate) fn advice(&self) -> &str {
        &self.advice
    }
}

/// A failure, as a program is told.
#[derive(Debug, Serialize)]
pub(crate) struct FailureReport<'a> {
    error: &'a str,
    kind: &'static str,
    causes: &'a [String],
    advice: &'a str,
    exit_code: u8,
}

impl Failure {
    /// The report of it.
    pub(crate) fn report(&self) -> FailureReport<'_> {
        let kind = match (self.kind, self.code) {
            (Some(kind), _) => kind_name(kind),
            (None, Code::Usage) => "usage",
            (None, Code::Corrupt) => "corrupt",
            (None, Code::Race) => "conflict",
            (None, Code::Signal(_)) => "cancelled",
            (None, Code::Done | Code::Failed) => "failed",
        };
        let (error, causes, advice) = (&self.message[..], &self.causes[..], &self.advice[..]);
        FailureReport { error, kind, causes, advice, exit_code: self.code.number() }
    }
}

fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Denied => "denied",
        ErrorKind::Cancelled => "cancelled",
        _ => "internal",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        let mut disk_full = false;
        let mut too_many_files = false;
        let mut file_too_large = false;
        let mut no_such_file = false;
        let mut read_only = false;
        let mut bad_medium = false;
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>();
            let errno = io.and_then(io::Error::raw_os_error).map(Errno::from_raw_os_error);
            disk_full |= io.is_some_and(is_full);
            too_many_files |= errno == Some(Errno::MFILE);
            file_too_large |= errno == Some(Errno::FBIG);
            bad_medium |= matches!(errno, Some(Errno::IO | Errno::UCLEAN));
            read_only |= io.is_some_and(|io| io.kind() == io::ErrorKind::ReadOnlyFilesystem);
            no_such_file |= io.is_some_and(|io| io.kind() == io::ErrorKind::NotFound);
            let text = error.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            cause = error.source();
        }
        let (code, advice) = match error.kind() {
            ErrorKind::NotFound if no_such_file => {
                (Code::Failed, "Check the path, or make what is missing, then run the command again.")
            }
            ErrorKind::NotFound => (
                Code::Failed,
                "Check the name; `floe ls` lists the refs of the namespace, `floe log REF` the generations of one, `floe ls REF` \
                 what is in it.",
            ),
            ErrorKind::Invalid => {
                let is_argument = matches!(error.remedy(), Some(Remedy::Pattern | Remedy::Options));
                let code = if is_argument { Code::Usage } else { Code::Failed };
                (code, "Correct what is named above and run the command again.")
            }
            ErrorKind::Conflict => {
                (Code::Race, "Look at what the other one did (`floe log`), then run the command again.")
            }
            ErrorKind::Unavailable => {
                (Code::Failed, "Check the store's location and the way to it, then run the command again.")
            }
            ErrorKind::Corrupt => (
                Code::Corrupt,
                "Run `floe verify` to see what else is damaged; push again from the source with --full, which makes a \
                 whole generation, or restore the object from a copy of the store.",
            ),
            ErrorKind::Unsupported => (Code::Failed, TOO_NEW),
            ErrorKind::Denied => {
                (Code::Failed, "Check the permissions or credentials, then run the command again.")
            }
            ErrorKind::Cancelled => {
                (Code::Signal(2), "No ref and no file was left half written; run the command again to go on.")
            }
            ErrorKind::Internal if too_many_files => {
                (Code::Failed, "Raise the limit of open files (ulimit -n), then run the command again.")
            }
            ErrorKind::Internal if file_too_large => (
                Code::Failed,
                "Raise the limit of a file's length (ulimit -f), or name a place on a file system that takes such files.",
            ),
            ErrorKind::Internal if read_only => {
                (Code::Failed, "That file system is read-only: name another place, or mount it writable.")
            }
            ErrorKind::Internal if bad_medium => (
                Code::Failed,
                "A disk fails there: copy elsewhere what can still be read; `floe verify` tells what of a store cannot.",
            ),
            ErrorKind::Internal if disk_full => {
                (Code::Failed, "Make room on that file system, then run the command again.")
            }
            _ => {
                (Code::Failed, "Run the command again with -vv to see each step, and report it if it stays.")
            }
        };
        let advice = error.remedy().and_then(advice::of_remedy).unwrap_or(advice);
        let mut failure = Self::new(code, error.to_string(), advice);
        failure.kind = Some(error.kind());
        failure.remedy = error.remedy();
        failure.causes = causes;
        failure
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use floe_core::Remedy;

    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        let code = |kind| Failure::from(Error::new(kind, "x")).code();
        assert_eq!(code(ErrorKind::NotFound), Code::Failed);
        assert_eq!(code(ErrorKind::Invalid), Code::Failed);
        assert_eq!(code(ErrorKind::Unavailable), Code::Failed);
        assert_eq!(code(ErrorKind::Corrupt), Code::Corrupt);
        assert_eq!(code(ErrorKind::Conflict), Code::Race);
        assert_eq!(code(ErrorKind::Cancelled), Code::Signal(2));
    }

    #[test]
    fn a_remedy_is_advised_whatever_the_kind() {
        let damaged = Error::new(ErrorKind::Corrupt, "`refs/a` is damaged").with_remedy(Remedy::RestoreRef);
        let failure = Failure::from(damaged);
        assert_eq!(failure.code(), Code::Corrupt);
        assert!(failure.advice().starts_with("Restore this ref"), "{}", failure.advice());
    }

    #[test]
    fn a_missing_file_is_told_from_a_missing_name() {
        let file = Failure::from(Error::io("cannot open `x`", io::ErrorKind::NotFound.into()));
        assert!(file.advice().starts_with("Check the path"));
        let name = Failure::from(Error::new(ErrorKind::NotFound, "no such ref"));
        assert!(name.advice().starts_with("Check the name"));
    }

    #[test]
    fn a_full_disk_is_told_from_other_faults() {
        let full = Error::io("cannot write `x`", io::ErrorKind::StorageFull.into());
        assert!(Failure::from(full).advice().starts_with("Make room"));
        let wrapped = Error::new(ErrorKind::Internal, "the push failed")
            .with_source(Error::io("cannot write `x`", io::ErrorKind::StorageFull.into()));
        assert!(Failure::from(wrapped).advice().starts_with("Make room"));
    }

    #[test]
    fn a_failing_disk_is_told_from_other_faults() {
        for errno in [Errno::IO, Errno::UCLEAN] {
            let bad = io::Error::from_raw_os_error(errno.raw_os_error());
            let failure = Failure::from(Error::io("cannot read `x`", bad));
            assert!(failure.advice().starts_with("A disk fails there"), "{}", failure.advice());
        }
        let other = Failure::from(Error::io("cannot read `x`", io::Error::other("x")));
        assert!(!other.advice().contains("disk"), "{}", other.advice());
    }

    #[test]
    fn too_many_open_files_are_told_from_other_faults() {
        let many = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert!(Failure::from(Error::io("cannot open `x`", many)).advice().contains("ulimit -n"));
    }

    #[test]
    fn a_file_larger_than_may_be_is_told_from_other_faults() {
        let large = io::Error::from_raw_os_error(Errno::FBIG.raw_os_error());
        assert!(Failure::from(Error::io("cannot write `x`", large)).advice().contains("ulimit -f"));
    }

    #[test]
    fn a_closed_output_is_no_failure_to_tell_of() {
        let closed = Failure::output(io::ErrorKind::BrokenPipe.into());
        assert!(closed.is_silent());
        assert_eq!(closed.code(), Code::Done);
        let full = Failure::output(io::ErrorKind::StorageFull.into());
        assert!(!full.is_silent());
        assert_eq!(full.code(), Code::Failed);
    }
}
