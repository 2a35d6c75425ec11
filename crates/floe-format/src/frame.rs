//! Frames: 1 byte to 1 MiB of plain bytes, compressed on their own (`docs/format.md` §3).
//!
//! Bytes leave a [`Decompressor`] only after their BLAKE3-256 equals the frame's id; there is no way around it.

mod repetition;

use std::io::Cursor;

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, ParamSwitch, Strategy};

use self::repetition::repeats_itself;

use crate::wire::WireReader;
use crate::{Error, FrameId, Result};

/// Most plain bytes of a frame.
pub const MAX_FRAME_PLAIN: usize = 1 << 20;

/// Most stored bytes of a frame.
pub const MAX_FRAME_STORED: usize = (1 << 20) + (8 << 10);

/// Largest window that a zstd frame may ask for.
const MAX_WINDOW: u64 = 1 << 20;

const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// How a frame's plain bytes became its stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// One zstd frame.
    Zstd = 1,
    /// One LZ4 frame, of images alone. This version knows the number and decodes none.
    Lz4 = 2,
}

impl Codec {
    /// The codec with this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Zstd),
            2 => Some(Self::Lz4),
            _ => None,
        }
    }
}

/// The level of zstd that is meant where none is named.
///
/// At this level, and no other, frames that repeat themselves, as most source code does, are searched with more care than
/// zstd does: they come out smaller by a tenth or so, take twice the time, and are no slower to decompress.
pub const DEFAULT_LEVEL: i32 = 3;

/// What searches with more care: greedily, through 16 candidates of a hash chain, which in frames as short as these is
/// faster and finds more than the rows that zstd takes by itself.
const CAREFUL: [CParameter; 6] = [
    CParameter::Strategy(Strategy::ZSTD_greedy),
    CParameter::HashLog(17),
    CParameter::ChainLog(17),
    CParameter::SearchLog(4),
    CParameter::MinMatch(5),
    CParameter::UseRowMatchFinder(ParamSwitch::Disable),
];

/// Compresses frames of one level, one after another.
///
/// Equal plain bytes give equal stored bytes, whatever was compressed before them.
pub struct Compressor {
    context: CCtx<'static>,
    /// For frames that repeat themselves, where the level is the default; made for the first of them.
    careful: Option<CCtx<'static>>,
    is_default: bool,
}

impl Compressor {
    /// A compressor of zstd level `level`, which zstd has to know.
    ///
    /// # Errors
    /// `Invalid` for a level that zstd does not know.
    pub fn new(level: i32) -> Result<Self> {
        let known = zstd_safe::min_c_level()..=zstd_safe::max_c_level();
        if !known.contains(&level) {
            return Err(Error::invalid(format!(
                "compression level {level} is not one of {} to {}",
                known.start(),
                known.end()
            )));
        }
        Ok(Self { context: context(level, &[])?, careful: None, is_default: level == DEFAULT_LEVEL })
    }

    /// Appends the stored bytes of the frame with these plain bytes, as [`Codec::Zstd`], and returns their number.
    ///
    /// # Errors
    /// `Invalid` for nothing, for more than [`MAX_FRAME_PLAIN`], and where zstd fails.
    pub fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        if plain.is_empty() || plain.len() > MAX_FRAME_PLAIN {
            return Err(Error::invalid(format!(
                "a frame of {} plain bytes, not 1 to {MAX_FRAME_PLAIN}",
                plain.len()
            )));
        }
        let start = out.len();
        out.reserve(zstd_safe::compress_bound(plain.len()));
        // `compress2` states the content size by itself. zstd takes no window larger than the content asks for, so
        // MAX_FRAME_PLAIN bounds it at every level.
        let context = match (&mut self.careful, self.is_default && repeats_itself(plain)) {
            (_, false) => &mut self.context,
            (Some(careful), true) => careful,
            (none, true) => none.insert(context(DEFAULT_LEVEL, &CAREFUL)?),
        };
        context.compress2(&mut after(out, start), plain).map_err(zstd_error)
    }
}

fn context(level: i32, parameters: &[CParameter]) -> Result<CCtx<'static>> {
    let mut context = CCtx::create();
    let of_all = [
        CParameter::CompressionLevel(level),
        CParameter::ContentSizeFlag(true),
        // The frame's id is a far better checksum.
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
    ];
    for parameter in of_all.iter().chain(parameters) {
        context.set_parameter(*parameter).map_err(zstd_error)?;
    }
    Ok(context)
}

fn zstd_error(code: zstd_safe::ErrorCode) -> Error {
    Error::invalid(format!("zstd: {}", zstd_safe::get_error_name(code)))
}

/// Decompresses and verifies frames, one after another, in one context.
pub struct Decompressor {
    context: DCtx<'static>,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompressor {
    /// A decompressor.
    pub fn new() -> Self {
        Self { context: DCtx::create() }
    }

    /// Appends the plain bytes of frame `id`.
    ///
    /// `stored` has to be exactly one frame of exactly `plain_len` plain bytes whose BLAKE3-256 is `id`. After an error `out`
    /// holds what it held before.
    ///
    /// # Errors
    /// `Corrupt` where `stored` is not that; `Unsupported` for another codec than zstd.
    pub fn decompress(
        &mut self,
        id: &FrameId,
        codec: Codec,
        stored: &[u8],
        plain_len: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let start = out.len();
        self.decompress_unchecked(id, codec, stored, plain_len, out)?;
        if FrameId::of(&out[start..]) == *id {
            return Ok(());
        }
        out.truncate(start);
        Err(Error::corrupt(format!(
            "frame {id}: its {plain_len} plain bytes are not the ones it is named by"
        )))
    }

    /// Appends the plain bytes of what claims to be frame `id`, for those who check each of them otherwise.
    ///
    /// `stored` has to be exactly one frame of exactly `plain_len` plain bytes, as with
    /// [`decompress`](Self::decompress).
    ///
    /// # Errors
    /// `Corrupt` where `stored` is not that; `Unsupported` for another codec than zstd.
    pub fn decompress_unchecked(
        &mut self,
        id: &FrameId,
        codec: Codec,
        stored: &[u8],
        plain_len: u32,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match codec {
            Codec::Zstd => {}
            Codec::Lz4 => return Err(Error::unsupported(format!("frame {id}: LZ4 is not known here"))),
        }
        let plain_len = plain_len as usize;
        check_frame(stored, plain_len).map_err(|error| Error::corrupt(format!("frame {id}: {error}")))?;
        let start = out.len();
        out.reserve(plain_len);
        let written = self.context.decompress(&mut after(out, start), stored).map_err(|code| {
            Error::corrupt(format!("frame {id}: zstd: {}", zstd_safe::get_error_name(code)))
        })?;
        if written != plain_len {
            out.truncate(start);
            return Err(Error::corrupt(format!("frame {id}: it has {written} plain bytes, not {plain_len}")));
        }
        Ok(())
    }
}

/// Where zstd writes to append to `out`: its spare capacity from `start`, its length, on.
fn after(out: &mut Vec<u8>, start: usize) -> Cursor<&mut Vec<u8>> {
    let mut cursor = Cursor::new(out);
    cursor.set_position(start as u64);
    cursor
}

/// Checks what zstd does not: that this is a single standard frame, within the limits and of the stated content size.
fn check_frame(stored: &[u8], plain_len: usize) -> Result<()> {
    let mut reader = WireReader::new("zstd frame", stored);
    if stored.len() > MAX_FRAME_STORED {
        return Err(reader.corrupt(format_args!("{} stored bytes", stored.len())));
    }
    if plain_len == 0 || plain_len > MAX_FRAME_PLAIN {
        return Err(reader.corrupt(format_args!("{plain_len} plain bytes")));
    }
    // Skippable frames and those of old zstd versions have other magics.
    reader.magic(&ZSTD_MAGIC)?;
    let descriptor = reader.u8()?;
    let single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return Err(reader.corrupt("a reserved bit"));
    }
    if descriptor & 0x03 != 0 {
        return Err(reader.corrupt("a dictionary"));
    }
    if !single_segment {
        let window = reader.u8()?;
        let base = 1u64 << (10 + (window >> 3));
        let window = base + base / 8 * u64::from(window & 7);
        if window > MAX_WINDOW {
            return Err(reader.corrupt(format_args!("a window of {window} bytes")));
        }
    }
    let content_size = match (descriptor >> 6, single_segment) {
        (0, false) => return Err(reader.corrupt("no content size")),
        (0, true) => u64::from(reader.u8()?),
        (1, _) => u64::from(reader.u16()?) + 256,
        (2, _) => u64::from(reader.u32()?),
        _ => reader.u64()?,
    };
    if content_size != plain_len as u64 {
        return Err(reader.corrupt(format_args!("a content size of {content_size} bytes, not {plain_len}")));
    }
    // zstd would decode one frame after another.
    match zstd_safe::find_frame_compressed_size(stored) {
        Ok(length) if length == stored.len() => Ok(()),
        Ok(length) => {
            Err(reader.corrupt(format_args!("{} bytes follow its end", stored.len().saturating_sub(length))))
        }
        Err(code) => Err(reader.corrupt(zstd_safe::get_error_name(code))),
    }
}

#[cfg(test)]
mod tests;
