//! The library's errors as ours.
//!
//! Its messages quote answers and URLs, which may hold signatures, tokens and key ids. So nothing is passed on but
//! the status, the short error code of the cloud, and the innermost cause of a connection that failed.

use std::error::Error as StdError;

use object_store::Error as Cloud;
use object_store::client::HttpError;

use crate::{Error, ErrorKind, Remedy};

/// What it means where S3 sends elsewhere, or is asked in the name of a region that is not the bucket's.
const OTHER_REGION: &str = "the bucket is in another region; set AWS_REGION";

/// What went wrong with an object in a store.
pub(super) fn convert(store: &str, what: &str, e: &Cloud, hint: Option<&str>) -> Error {
    let status = status(e);
    let code = code(e);
    let kind = match (e, status, code.as_deref()) {
        // AWS: two conditional writes met; neither has been judged.
        (_, _, Some("ConditionalRequestConflict")) => ErrorKind::Unavailable,
        (_, _, Some("NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted")) => ErrorKind::Invalid,
        // Azure: refusals that look like a lost race.
        (_, _, Some("LeaseIdMissing" | "BlobImmutableDueToPolicy")) => ErrorKind::Denied,
        (_, _, Some("NoSuchUpload" | "InvalidBlockList")) => ErrorKind::NotFound,
        (_, Some(408 | 429 | 500..=599), _) if status != Some(501) => ErrorKind::Unavailable,
        (_, Some(501), _) | (Cloud::NotImplemented { .. } | Cloud::NotSupported { .. }, _, _) => {
            ErrorKind::Unsupported
        }
        (_, Some(400), Some("RequestTimeout")) => ErrorKind::Unavailable,
        (_, Some(400), Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired")) => ErrorKind::Denied,
        (Cloud::NotFound { .. }, _, _) => ErrorKind::NotFound,
        (Cloud::AlreadyExists { .. } | Cloud::Precondition { .. } | Cloud::NotModified { .. }, _, _) => {
            ErrorKind::Conflict
        }
        (Cloud::PermissionDenied { .. } | Cloud::Unauthenticated { .. }, _, _) | (_, Some(401 | 403), _) => {
            ErrorKind::Denied
        }
        // An error inside a successful answer.
        (_, Some(200..=299), _) => ErrorKind::Unavailable,
        (_, Some(_), _) | (Cloud::InvalidPath { .. }, _, _) => ErrorKind::Invalid,
        _ if is_sent_elsewhere(e) => ErrorKind::Invalid,
        (_, None, _) if transport(e).is_some() => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let mut message = format!("`{what}` in {store}: ");
    match (kind, status, code.as_deref()) {
        (ErrorKind::NotFound, ..) => message.push_str("no such object"),
        (ErrorKind::Conflict, ..) => message.push_str("exists already or has changed"),
        (_, _, Some("NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted")) => {
            message.push_str("there is no such bucket");
        }
        (_, Some(status), Some(code)) => {
            message.push_str(&format!("the server answered {status} {code}"));
            if let Some(meaning) = meaning(code) {
                message.push_str(&format!(" ({meaning})"));
            }
        }
        (_, Some(status), None) => message.push_str(&format!("the server answered {status}")),
        (ErrorKind::Unavailable, None, _) => {
            message.push_str(&format!("no answer ({})", transport(e).unwrap_or_default()));
        }
        _ if is_sent_elsewhere(e) => message.push_str(OTHER_REGION),
        _ => message.push_str("the request could not be made or its answer not understood"),
    }
    let is_of_credentials = kind == ErrorKind::Denied || (kind, status) == (ErrorKind::Unavailable, None);
    if let Some(hint) = hint.filter(|_| is_of_credentials) {
        message.push_str("; ");
        message.push_str(hint);
    }
    let error = Error::new(kind, message);
    let is_of_region = is_sent_elsewhere(e) || code.as_deref().and_then(meaning) == Some(OTHER_REGION);
    if is_of_region { error.with_remedy(Remedy::Environment) } else { error }
}

/// Whether the server sent the request elsewhere and did not say where to, as S3 does where a bucket is in another region:
/// of such an answer the library keeps neither the status nor the code.
fn is_sent_elsewhere(e: &Cloud) -> bool {
    chain(e).any(|link| link.to_string().starts_with("Received redirect without LOCATION"))
}

/// The HTTP status that an error was made of.
pub(super) fn status(e: &Cloud) -> Option<u16> {
    // The library keeps its type to itself; this sentence of it begins the message of one link of the chain.
    chain(e)
        .find_map(|link| {
            let text = link.to_string();
            if let Some(after) = text.strip_prefix("Server returned non-2xx status code: ") {
                return after.get(..3)?.parse().ok();
            }
            // An answer inside that to a batch.
            let deleted = text.strip_prefix("Bulk delete request failed for key ")?;
            deleted.rsplit_once("(code: ")?.1.strip_suffix(')')?.parse().ok()
        })
        .or_else(|| {
            chain(e)
                .any(|link| link.to_string().starts_with("Server returned error response: "))
                .then_some(200)
        })
}

/// What a code means to whoever set the store up, where its name does not say.
fn meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDenied" | "AuthorizationPermissionMismatch" => "these credentials may not do that",
        "ExpiredToken" | "TokenRefreshRequired" => "the credentials have expired",
        "LeaseIdMissing" => "somebody has a lease on it",
        "BlobImmutableDueToPolicy" => "a policy keeps it as it is",
        "AuthenticationFailed" => "the key or token is not one of the account, or has expired",
        "InvalidAccessKeyId" => "the access key is not known there",
        "SignatureDoesNotMatch" => "the secret key is not the one of the access key",
        "RequestTimeTooSkewed" => "the clock of this machine is wrong",
        "AuthorizationHeaderMalformed" | "PermanentRedirect" => OTHER_REGION,
        "SlowDown" => "it has too much to do",
        _ => return None,
    })
}

/// The `<Code>` of an answer in XML.
fn code(e: &Cloud) -> Option<String> {
    chain(e).find_map(|link| {
        let text = link.to_string();
        let (code, _) = text.split_once("<Code>")?.1.split_once("</Code>")?;
        let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        plain.then(|| code.to_owned())
    })
}

/// Why there was no answer: the innermost cause, which holds no URL.
fn transport(e: &Cloud) -> Option<String> {
    chain(e).find(|link| link.downcast_ref::<HttpError>().is_some())?;
    let innermost = chain(e).last()?.to_string();
    Some(if innermost.contains("://") { "the connection failed".into() } else { innermost })
}

fn chain<'a>(e: &'a Cloud) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(e as &'a (dyn StdError + 'static)), |link: &&'a (dyn StdError + 'static)| {
        let link: &'a (dyn StdError + 'static) = *link;
        link.source()
    })
}
