//! The one error of this crate.

use std::fmt;

use rustix::io::Errno;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It is not there.
    NotFound,
    /// The caller asked for something that cannot be.
    Invalid,
    /// Somebody else was first; look again and repeat.
    Conflict,
    /// The other side does not answer as it should just now; the only kind that is retried.
    Unavailable,
    /// Bytes that were read are not what their id, sum or format says.
    Corrupt,
    /// This version cannot do it, or the other side cannot.
    Unsupported,
    /// The other side knows the caller and says no, or does not know the caller.
    Denied,
    /// The caller asked to stop.
    Cancelled,
    /// A fault of the machine or of Floe itself: a full disk, a broken invariant.
    Internal,
}

/// What helps, where the kind of an [`Error`] says too little of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// The ref comes back from a copy of the store, or another one is made: what cannot be read is never replaced.
    RestoreRef,
    /// `format.json` or `gc/state` comes back from a copy of the store: nobody may make it anew.
    RestoreNamespace,
    /// What is there is not Floe's, and goes elsewhere.
    Remove,
    /// Another ref: this one takes no more.
    OtherRef,
    /// Another generation of the ref.
    OtherGeneration,
    /// Another path in the snapshot.
    OtherPath,
    /// What the reference stands for is looked up again, once: it may be stored in other objects by now.
    ResolveAgain,
    /// Another namespace, or the server that alone writes to this one.
    OtherNamespace,
    /// A repetition, when nothing writes to what is read.
    QuietSource,
    /// [`PullOptions::delete`](crate::PullOptions::delete) removes what is in the way.
    Delete,
    /// What the message names is left out, or has no place there but elsewhere.
    LeaveOut,
    /// Another place is named, or what is in the way of this one is moved elsewhere.
    OtherPlace,
    /// [`PushOptions::skip_unreadable`](crate::PushOptions::skip_unreadable) leaves out what cannot be read.
    SkipUnreadable,
    /// A pattern that the caller gave is written otherwise.
    Pattern,
    /// The caller asks for something else, which goes with the rest.
    Options,
    /// What the environment says of the store's cloud is completed or corrected.
    Environment,
    /// The address of the store's server is another, or plain HTTP is allowed as the message says.
    Endpoint,
}

/// Why an operation of the engine failed: a kind, a message and perhaps a cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    remedy: Option<Remedy>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with this message, which is lowercase and names the object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, remedy: None, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with what helps.
    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// The same error; where it tells of damage, with what helps.
    #[must_use]
    pub(crate) fn if_damaged(self, remedy: Remedy) -> Self {
        if self.kind == ErrorKind::Corrupt { self.with_remedy(remedy) } else { self }
    }

    /// What happened and why, on one line.
    pub(crate) fn with_causes(&self) -> String {
        told_with_causes(self)
    }

    /// The same once more, for others who wait for the same thing. Of its cause that was no error of the system, what it said.
    pub(crate) fn repeated(&self) -> Self {
        let source = self.source.as_deref().map(|cause| match errno_of(cause) {
            Some(errno) => std::io::Error::from_raw_os_error(errno).into(),
            None => told_with_causes(cause).into(),
        });
        Self { kind: self.kind, remedy: self.remedy(), message: self.message.clone(), source }
    }

    /// The same error, its message beginning with the object it is about.
    #[must_use]
    pub fn in_object(mut self, object: impl fmt::Display) -> Self {
        let object = object.to_string();
        // Several layers may know the name.
        if !self.message.starts_with(&object) {
            self.message = format!("{object}: {}", self.message);
        }
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What helps, where more is known of that than the kind says; a cause may know it.
    pub fn remedy(&self) -> Option<Remedy> {
        let of_cause = || self.source.as_deref()?.downcast_ref::<Self>()?.remedy();
        self.remedy.or_else(of_cause)
    }

    /// Whether the medium does not give what is on it, or the file system has it no more.
    pub(crate) fn is_of_medium(&self) -> bool {
        let cause = self.source.as_deref().and_then(errno_of).map(Errno::from_raw_os_error);
        matches!(cause, Some(Errno::IO | Errno::UCLEAN | Errno::BADMSG | Errno::LOOP))
    }

    /// Whether the machine, or this process, has not enough of what it takes, so that nothing is told of what was tried.
    pub(crate) fn is_of_resources(&self) -> bool {
        let cause = self.source.as_deref().and_then(errno_of).map(Errno::from_raw_os_error);
        matches!(cause, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
    }

    /// An error for an operation on a local file or directory, its kind told by the cause.
    pub fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, message).with_source(source)
    }
}

/// What an error says, and its causes, on one line.
fn told_with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

fn errno_of(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<i32> {
    cause.downcast_ref::<std::io::Error>()?.raw_os_error()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

impl From<floe_format::Error> for Error {
    fn from(e: floe_format::Error) -> Self {
        let kind = match e.kind() {
            floe_format::ErrorKind::Invalid => ErrorKind::Invalid,
            floe_format::ErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Corrupt,
        };
        Self::new(kind, e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_that_of_the_nearest_cause_that_knows_one() {
        let damaged = |kind| Error::new(kind, "`refs/a` is damaged").if_damaged(Remedy::RestoreRef);
        assert_eq!(damaged(ErrorKind::Corrupt).remedy(), Some(Remedy::RestoreRef));
        assert_eq!(damaged(ErrorKind::Unavailable).remedy(), None);
        let wrapped = Error::new(ErrorKind::Corrupt, "outer").with_source(damaged(ErrorKind::Corrupt));
        assert_eq!(wrapped.remedy(), Some(Remedy::RestoreRef));
        assert_eq!(wrapped.with_remedy(Remedy::OtherRef).remedy(), Some(Remedy::OtherRef));
        let io = Error::io("cannot open `x`", std::io::ErrorKind::NotFound.into());
        assert_eq!(io.remedy(), None);
    }
}
