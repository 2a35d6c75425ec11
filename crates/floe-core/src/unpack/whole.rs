//! Units of whole entries: all that is in them is checked together, then handed out.
//!
//! Files are hashed many at a time, which for small ones takes half the time. Where anything is not as it must be, nothing is
//! handed out, and the unit is gone through entry by entry instead: that reads damaged frames once more and says what is wrong.

use floe_format::{Body, ContentHash, ContentHasher, tar_header, tar_padding};

use crate::Result;

use super::canonical::ZEROS;
use super::engine::Output;
use super::frames::FrameReader;
use super::unit::{Start, Unit};

/// What a worker goes through such units with.
#[derive(Debug, Default)]
pub(super) struct WholeFrames {
    /// The frames' plain bytes.
    plain: Vec<Vec<u8>>,
    header: Vec<u8>,
    hasher: ContentHasher,
    hashes: Vec<ContentHash>,
}

impl WholeFrames {
    /// Checks a unit whose frames are all whole, and hands out its entries; false, and nothing is handed out, where
    /// something is wrong or the frames' bytes are to be kept.
    ///
    /// # Errors
    /// Those of the batch and of the output.
    pub(super) fn unpack<'t, O: Output<'t>>(
        &mut self,
        unit: &Unit<'t>,
        reader: &mut FrameReader,
        output: &mut O,
    ) -> Result<bool> {
        if reader.keeps() {
            return Ok(false);
        }
        let stored = unit.batch.wait()?;
        let Self { plain, header, hasher, hashes } = self;
        plain.resize_with(plain.len().max(unit.frames.len()), Vec::new);
        let plain = &mut plain[..unit.frames.len()];
        for (frame, plain) in unit.frames.iter().zip(&mut *plain) {
            if !reader.try_read(unit, &stored, frame, plain) {
                return Ok(false);
            }
        }

        let Start { place, number, at } = &unit.start;
        if *at != unit.content.start {
            return Ok(false);
        }
        let mut entries = place.entries(&unit.segment.plain);
        let first = unit.segment.first + *number as u64;
        let mut again = entries.clone();
        let mut contents = Vec::with_capacity(entries.left());
        hashes.clear();
        let mut hashed = Vec::with_capacity(entries.left());
        for frame in &*plain {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let Some(entry) = entries.next()? else { return Ok(false) };
                header.clear();
                tar_header(&entry, header);
                let size = entry.body.size();
                let padding = tar_padding(size);
                let parts = usize::try_from(size).ok().and_then(|size| {
                    let (content, after) = rest.strip_prefix(&header[..])?.split_at_checked(size)?;
                    let (zeros, after) = after.split_at_checked(padding)?;
                    (*zeros == ZEROS[..padding]).then_some((content, after))
                });
                let Some((content, after)) = parts else { return Ok(false) };
                // The format sees to it that only an empty file has none.
                if let Body::File { hash: Some(hash), .. } = entry.body {
                    hashes.push(hash);
                    hashed.push(content);
                }
                contents.push(content);
                rest = after;
            }
        }
        if hasher.hash_all(&hashed) != hashes {
            return Ok(false);
        }
        for (ordinal, content) in (first..).zip(contents) {
            let Some(entry) = again.next()? else { break };
            output.whole(ordinal, &entry, content)?;
        }
        Ok(true)
    }
}
