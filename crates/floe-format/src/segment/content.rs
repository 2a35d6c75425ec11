//! What a segment's frames must hold.

use std::sync::LazyLock;

use super::Segment;
use crate::{Error, FrameId, Result, TAR_END, tar_len, tar_padding};

static END_ID: LazyLock<FrameId> = LazyLock::new(|| FrameId::of(&TAR_END));

/// The lengths of a segment whose lead, entries and end add up to its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Length of the tar bytes in its frames.
    pub length: u64,
    /// How many of them, first of all, belong to a file begun in an earlier segment.
    pub lead: u64,
    /// How many bytes of the last entry's padded content are in later segments: 0 if it is whole.
    pub unfinished: u64,
    /// Whether something follows the lead, which is thereby the last of its file.
    ends_lead: bool,
}

impl Content {
    pub(super) fn of(segment: &Segment<'_>) -> Result<Self> {
        let corrupt = |what: &str| Err(Error::corrupt(format!("segment: {what}")));
        let too_long = || Error::corrupt("segment: its frames have over 2^64 bytes");
        let mut length = 0u64;
        for run in segment.runs() {
            let run = run.content_len().ok_or_else(too_long)?;
            length = length.checked_add(run).ok_or_else(too_long)?;
        }
        // 1,024 entries of 2^60 bytes do not fit 64 bits.
        let mut needed = u128::from(segment.lead());
        let mut last_content = 0;
        let mut entries = segment.entries();
        while let Some(entry) = entries.next()? {
            needed += u128::from(tar_len(&entry));
            last_content = entry.body.size() + tar_padding(entry.body.size()) as u64;
        }
        if segment.has_end() {
            let last = segment.runs().last();
            if last.is_none_or(|last| last.id != *END_ID) {
                return corrupt("its last frame is not the end of a tar");
            }
            needed += TAR_END.len() as u128;
            last_content = 0;
        }
        let Some(unfinished) = needed.checked_sub(u128::from(length)) else {
            return corrupt("its frames have more bytes than its entries");
        };
        let unfinished = match u64::try_from(unfinished) {
            Ok(unfinished) if unfinished <= last_content => unfinished,
            _ => return corrupt("its frames have fewer bytes than its entries"),
        };
        Ok(Self {
            length,
            lead: segment.lead(),
            unfinished,
            ends_lead: segment.entry_count() > 0 || segment.has_end(),
        })
    }

    /// Checks that this segment follows one that left `owed` bytes of a file to come (the first: 0), and says how many
    /// are to come after this one.
    ///
    /// # Errors
    /// `Corrupt` where it does not follow.
    pub fn follow(&self, owed: u64) -> Result<u64> {
        if self.ends_lead && self.lead == owed {
            Ok(self.unfinished)
        } else if !self.ends_lead && self.lead <= owed {
            Ok(owed - self.lead)
        } else {
            Err(Error::corrupt(format!(
                "segment: begins with {} bytes of a file of which {owed} are missing",
                self.lead
            )))
        }
    }
}
