//! How bodies lie in the store: their parts one by one, and a mark for each that is there as a whole.

use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::bodies::tree::{Layout, Partial, Unit, unit_of};

use crate::store::{Batch, BatchError, Reader, StoreError, Table};

/// Marks stand before parts, so that they can be read without them.
const MARK: u8 = 0;
const PART: u8 = 1;

fn mark(hash: &Hash) -> Vec<u8> {
    [&[MARK][..], &hash.0].concat()
}

/// Big endian, so that parts lie in the order in which they can be checked.
fn part(hash: &Hash, unit: Unit) -> Vec<u8> {
    let [tag, low, high] = unit.label();
    [&[PART][..], &hash.0, &[tag, high, low]].concat()
}

fn unit(key: &[u8]) -> Option<Unit> {
    let (_, [tag, high, low]) = key.split_last_chunk::<3>()?;
    let index = u16::from_be_bytes([*high, *low]);
    match tag {
        0 => Some(Unit::Outline),
        1 => Some(Unit::List(index)),
        2 => Some(Unit::Piece(index)),
        _ => None,
    }
}

/// Adds a part to a batch.
pub fn put_part(
    batch: &mut Batch,
    hash: &Hash,
    unit: Unit,
    bytes: &[u8],
) -> Result<(), BatchError> {
    batch.put(Table::Bodies, &part(hash, unit), bytes)
}

/// Adds the mark to a batch: all parts are there.
pub fn put_mark(batch: &mut Batch, hash: &Hash, bytes: u64) -> Result<(), BatchError> {
    batch.put(Table::Bodies, &mark(hash), &bytes.to_be_bytes())
}

/// A whole body as batches, to be stored in their order; the last one has the mark.
pub fn whole(hash: &Hash, body: &[u8]) -> Result<Vec<Batch>, BatchError> {
    let layout = Layout::of(body.len() as u64).expect("nobody stores more than a file may have");
    let lists = (0..layout.lists()).map(Unit::List);
    let pieces = (0..layout.pieces()).map(Unit::Piece);
    let units = std::iter::once(Unit::Outline).chain(lists).chain(pieces);
    let (mut batches, mut batch) = (Vec::new(), Batch::new());
    for unit in units {
        let bytes = unit_of(body, unit).expect("each part of a layout is there");
        if put_part(&mut batch, hash, unit, &bytes).is_err() {
            // It is full.
            batches.push(std::mem::take(&mut batch));
            put_part(&mut batch, hash, unit, &bytes)?;
        }
    }
    if put_mark(&mut batch, hash, body.len() as u64).is_err() {
        batches.push(std::mem::take(&mut batch));
        put_mark(&mut batch, hash, body.len() as u64)?;
    }
    batches.push(batch);
    Ok(batches)
}

/// Removes a body, and whatever there is of it.
pub fn remove(reader: &Reader, hash: &Hash) -> Result<Vec<Batch>, StoreError> {
    let mut batches = Vec::new();
    let mut batch = Batch::new();
    // The mark first: what has none is not taken for whole.
    batch.delete(Table::Bodies, &mark(hash))?;
    batches.push(batch);
    each_part(reader, hash, |unit, _| {
        let mut batch = Batch::new();
        batch.delete(Table::Bodies, &part(hash, unit))?;
        batches.push(batch);
        Ok(())
    })?;
    Ok(batches)
}

/// Bodies that are there as a whole, and their lengths.
pub fn marked(reader: &Reader) -> Result<Vec<(Hash, u64)>, StoreError> {
    let mut all = Vec::new();
    reader.each(Table::Bodies, &[MARK], Some(&[PART]), |key, value| {
        let hash = key.get(1..).and_then(|hash| hash.try_into().ok());
        let bytes = value.as_slice().try_into().map(u64::from_be_bytes);
        if let (Some(hash), Ok(bytes)) = (hash, bytes) {
            all.push((Hash(hash), bytes));
        }
        Ok(())
    })?;
    Ok(all)
}

/// A part of a body, to hand out.
pub fn read_part(reader: &Reader, hash: &Hash, unit: Unit) -> Result<Option<Bytes>, StoreError> {
    let found = reader.get(Table::Bodies, &part(hash, unit))?;
    Ok(found.map(Bytes::from))
}

/// The length of a body that is there as a whole.
pub fn length(reader: &Reader, hash: &Hash) -> Result<Option<u64>, StoreError> {
    let found = reader.get(Table::Bodies, &mark(hash))?;
    Ok(found.and_then(|value| value.as_slice().try_into().ok().map(u64::from_be_bytes)))
}

/// What is there of a body, checked part by part; what does not belong to it is as if it were not there.
pub fn partial(reader: &Reader, hash: &Hash, bytes: u64) -> Result<Partial, StoreError> {
    let mut partial = Partial::default();
    if let Some(layout) = Layout::of(bytes) {
        each_part(reader, hash, |unit, part| {
            partial.take(hash, layout, unit, &part);
            Ok(())
        })?;
    }
    Ok(partial)
}

/// A whole body, checked as it is read; none where it is not there, or not what it was.
pub fn body(reader: &Reader, hash: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(bytes) = length(reader, hash)? else {
        return Ok(None);
    };
    let Some(layout) = Layout::of(bytes) else {
        return Ok(None);
    };
    let mut partial = Partial::default();
    let mut body = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    each_part(reader, hash, |unit, part| {
        if partial.take(hash, layout, unit, &part) && matches!(unit, Unit::Piece(_)) {
            body.extend_from_slice(&part);
        }
        Ok(())
    })?;
    Ok(partial.is_complete(layout).then_some(body))
}

fn each_part(
    reader: &Reader,
    hash: &Hash,
    mut take: impl FnMut(Unit, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let from = part(hash, Unit::Outline);
    let until = [&[PART][..], &hash.0, &[u8::MAX; 4]].concat();
    reader.each(
        Table::Bodies,
        &from,
        Some(&until),
        |key, value| match unit(&key) {
            Some(unit) => take(unit, value),
            None => Ok(()),
        },
    )
}
