//! Why a change of a ref failed, in the words of the protocol.

use crate::Error;

/// Why a step of a write failed, and what whoever writes can do about it.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// A collector ended the lease, or fenced the ref against it. Nothing was committed, nor will be: begin again with a
    /// new lease (W11).
    Rearm(Error),
    /// Anything else: a lost race (`Conflict`), a store that does not answer, a wrong request.
    Failed(Error),
}

impl From<Error> for WriteError {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

impl From<WriteError> for Error {
    fn from(e: WriteError) -> Self {
        match e {
            WriteError::Rearm(e) | WriteError::Failed(e) => e,
        }
    }
}
