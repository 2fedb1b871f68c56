//! Columns of numbers as bytes. Short ones of a chunk share what describes their numbers, each in a page of its own.

use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use crate::wire::{DamagedBytes, Reader, put_signed, put_unsigned};

const CONSTANT: u8 = 0;
const PROGRESSION: u8 = 1;
const COMPRESSED: u8 = 2;
/// A page of the column that is [`SHARING`].
const PAGE: u8 = 3;
/// What the pages of a chunk have in common, then a page.
const SHARING: u8 = 4;

/// Longer columns are described by themselves.
const PAGE_POINTS: usize = 4_096;
/// Bits of a double that a float of 32 bits does not use.
const BELOW_FLOAT: u32 = 29;
const LEVEL: usize = 4;
/// For columns that share, where the cost is paid once.
const SHARED_LEVEL: usize = 8;

/// One column each; no bytes say: the same as the column before.
pub(crate) fn encode_integers(columns: &[Vec<i64>]) -> Vec<Vec<u8>> {
    let mut encoded = vec![Vec::new(); columns.len()];
    let mut short = Vec::new();
    // Times and steps rise by about the same from point to point.
    let rising = |level| config(level).with_delta_spec(DeltaSpec::TryConsecutive(1));
    for (place, column) in columns.iter().enumerate() {
        if place > 0 && columns[place - 1] == *column {
            continue;
        }
        match progression(column) {
            Some(bytes) => encoded[place] = bytes,
            None if column.len() <= PAGE_POINTS => short.push(place),
            None => encoded[place] = compressed(column, &rising(LEVEL)),
        }
    }
    share(columns, &short, &rising(LEVEL), &mut encoded);
    encoded
}

pub(crate) fn encode_reals(columns: &[Vec<f64>]) -> Vec<Vec<u8>> {
    let mut encoded = vec![Vec::new(); columns.len()];
    let mut floats = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let first = column.first().copied().unwrap_or(0.0);
        if column.iter().all(|value| value.to_bits() == first.to_bits()) {
            encoded[place].push(CONSTANT);
            encoded[place].extend_from_slice(&first.to_le_bytes());
        } else if column.len() <= PAGE_POINTS && are_floats(column) {
            floats.push(place);
        } else {
            encoded[place] = compressed(column, &config(LEVEL).with_delta_spec(delta(&[column])));
        }
    }
    let together: Vec<&Vec<f64>> = floats.iter().map(|place| &columns[*place]).collect();
    let shared = config(SHARED_LEVEL)
        .with_mode_spec(ModeSpec::TryFloatQuant(BELOW_FLOAT))
        .with_delta_spec(delta(&together));
    share(columns, &floats, &shared, &mut encoded);
    encoded
}

fn config(level: usize) -> ChunkConfig {
    ChunkConfig::default().with_compression_level(level)
}

fn progression(column: &[i64]) -> Option<Vec<u8>> {
    let stride = match column {
        [first, second, ..] => second.wrapping_sub(*first),
        _ => 0,
    };
    if column.windows(2).any(|pair| pair[1].wrapping_sub(pair[0]) != stride) {
        return None;
    }
    let mut bytes = vec![PROGRESSION];
    put_signed(&mut bytes, column.first().copied().unwrap_or(0));
    put_signed(&mut bytes, stride);
    Some(bytes)
}

/// Floats of 32 bits with digits behind the point, as training writes its losses.
fn are_floats(column: &[f64]) -> bool {
    let fits = |value: &f64| value.to_bits().trailing_zeros() >= BELOW_FLOAT;
    column.iter().all(fits) && column.iter().any(|value| value.fract() != 0.0)
}

/// Whether neighbours are closer to one another than to the mean of their column: then their differences are stored.
fn delta<C: AsRef<[f64]>>(columns: &[C]) -> DeltaSpec {
    let (mut steps, mut spread) = (0.0, 0.0);
    for column in columns.iter().map(AsRef::as_ref) {
        let finite = || column.iter().copied().filter(|value| value.is_finite());
        let count = finite().count();
        if count == 0 {
            continue;
        }
        let mean = finite().map(|value| value / count as f64).sum::<f64>();
        let far = finite().map(|value| (value - mean).abs()).sum::<f64>();
        let near = finite().zip(finite().skip(1)).map(|(one, next)| (next - one).abs()).sum::<f64>();
        // Columns of any size count alike.
        if far > 0.0 && far.is_finite() && near.is_finite() {
            steps += near / far;
            spread += 1.0;
        }
    }
    if steps < spread { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp }
}

fn compressed<T: Number>(column: &[T], config: &ChunkConfig) -> Vec<u8> {
    let mut bytes = vec![COMPRESSED];
    // Numbers in memory always compress; only a writer could fail, and a Vec does not.
    bytes.extend(simple_compress(column, config).expect("numbers compress"));
    bytes
}

fn share<T: Number>(columns: &[Vec<T>], places: &[usize], config: &ChunkConfig, encoded: &mut [Vec<u8>]) {
    if let [place] = places {
        encoded[*place] = compressed(&columns[*place], config);
    }
    if places.len() < 2 {
        return;
    }
    let numbers: Vec<T> = places.iter().flat_map(|place| columns[*place].iter().copied()).collect();
    let pages = PagingSpec::Exact(places.iter().map(|place| columns[*place].len()).collect());
    let file = FileCompressor::default();
    let mut chunk =
        file.chunk_compressor(&numbers, &config.clone().with_paging_spec(pages)).expect("numbers compress");
    for (page, place) in places.iter().enumerate() {
        let bytes = &mut encoded[*place];
        bytes.push(if page == 0 { SHARING } else { PAGE });
        if page == 0 {
            let head = file.write_header(Vec::new()).expect("a Vec takes all");
            let head = chunk.write_meta(head).expect("a Vec takes all");
            put_unsigned(bytes, head.len() as u64);
            bytes.extend(head);
        }
        chunk.write_page(page, bytes).expect("a Vec takes all");
    }
}

/// What the pages among columns of one kind have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shared<'b>(&'b [u8]);

impl<'b> Shared<'b> {
    pub fn of(mut columns: impl Iterator<Item = &'b [u8]>) -> Self {
        Self(columns.find(|column| column.first() == Some(&SHARING)).unwrap_or_default())
    }
}

pub(crate) fn decode_integers(
    bytes: &[u8],
    count: usize,
    shared: Shared<'_>,
) -> Result<Vec<i64>, DamagedBytes> {
    match bytes.split_first() {
        Some((&PROGRESSION, rest)) => {
            let mut reader = Reader { rest };
            let (start, stride) = (reader.signed()?, reader.signed()?);
            Ok((0..count as i64).map(|n| start.wrapping_add(stride.wrapping_mul(n))).collect())
        }
        _ => decode(bytes, count, shared),
    }
}

pub(crate) fn decode_reals(bytes: &[u8], count: usize, shared: Shared<'_>) -> Result<Vec<f64>, DamagedBytes> {
    match bytes.split_first() {
        Some((&CONSTANT, rest)) => Ok(vec![Reader { rest }.real()?; count]),
        _ => decode(bytes, count, shared),
    }
}

fn decode<T: Number>(bytes: &[u8], count: usize, shared: Shared<'_>) -> Result<Vec<T>, DamagedBytes> {
    let (tag, rest) = bytes.split_first().ok_or(DamagedBytes("a column is missing"))?;
    match *tag {
        COMPRESSED => {
            // Into as much as is claimed: a few damaged bytes can stand for millions of numbers.
            let mut column = vec![T::default(); count];
            let progress = simple_decompress_into(rest, &mut column).map_err(damaged)?;
            let whole = progress.finished && progress.n_processed == count;
            if whole { Ok(column) } else { Err(DamagedBytes("a column has the wrong length")) }
        }
        PAGE => decode_page(head(shared)?.0, rest, count),
        SHARING => {
            let (head, page) = head(Shared(bytes))?;
            decode_page(head, page, count)
        }
        _ => Err(DamagedBytes("unknown column form")),
    }
}

fn damaged(_: pco::errors::PcoError) -> DamagedBytes {
    DamagedBytes("a column is damaged")
}

/// What is shared, and the page behind it.
fn head(shared: Shared<'_>) -> Result<(&[u8], &[u8]), DamagedBytes> {
    let (_, rest) = shared.0.split_first().ok_or(DamagedBytes("a page has nothing to share"))?;
    let mut reader = Reader { rest };
    let length = reader.count(1)?;
    Ok((reader.bytes(length)?, reader.rest))
}

fn decode_page<T: Number>(head: &[u8], page: &[u8], count: usize) -> Result<Vec<T>, DamagedBytes> {
    if count > PAGE_POINTS {
        return Err(DamagedBytes("a page claims too many points"));
    }
    let (file, meta) = FileDecompressor::new(head).map_err(damaged)?;
    let (mut chunk, _) = file.chunk_decompressor::<T, _>(meta).map_err(damaged)?;
    let mut column = vec![T::default(); count];
    let progress =
        chunk.page_decompressor(page, count).and_then(|mut page| page.read(&mut column)).map_err(damaged)?;
    if progress.finished { Ok(column) } else { Err(DamagedBytes("a page is cut")) }
}
