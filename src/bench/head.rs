//! How values begin in MessagePack and in CBOR: with what they are, and how many octets or values follow.
//!
//! What is read may come from any router. Lists, dicts and strings of CBOR that do not say how long they are, are not
//! expected: WAMP implementations write none.

use super::decode::Malformed;

/// The beginning of a value, without what follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    /// A whole number that is not negative.
    Uint(u64),
    /// A string of that many octets.
    Text(usize),
    /// That many values.
    List(usize),
    /// That many keys, each with its value.
    Dict(usize),
    /// What is only skipped: that many octets.
    Octets(usize),
    /// What is said of the value that follows.
    Tag,
}

/// A number in as many octets, the most significant first.
fn number(rest: &mut &[u8], octets: usize) -> Result<u64, Malformed> {
    let (number, behind) = rest.split_at_checked(octets).ok_or(Malformed)?;
    *rest = behind;
    Ok(number.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

/// Reads how a value of MessagePack begins.
pub(super) fn msgpack(rest: &mut &[u8]) -> Result<Head, Malformed> {
    let marker = number(rest, 1)?;
    let length = |rest: &mut &[u8], octets: u64| number(rest, 1 << octets).map(|length| length as usize);
    Ok(match marker {
        0..=0x7f => Head::Uint(marker),
        0x80..=0x8f => Head::Dict(marker as usize & 0x0f),
        0x90..=0x9f => Head::List(marker as usize & 0x0f),
        0xa0..=0xbf => Head::Text(marker as usize & 0x1f),
        0xc1 => return Err(Malformed),
        0xc4..=0xc6 => Head::Octets(length(rest, marker - 0xc4)?),
        0xc7..=0xc9 => Head::Octets(length(rest, marker - 0xc7)? + 1),
        0xca => Head::Octets(4),
        0xcb => Head::Octets(8),
        0xcc..=0xcf => Head::Uint(number(rest, 1 << (marker - 0xcc))?),
        // Some write small numbers as if they could be negative.
        0xd0..=0xd3 => Head::Uint(number(rest, 1 << (marker - 0xd0))?),
        0xd4..=0xd8 => Head::Octets((1 << (marker - 0xd4)) + 1),
        0xd9..=0xdb => Head::Text(length(rest, marker - 0xd9)?),
        0xdc | 0xdd => Head::List(length(rest, marker - 0xdb)?),
        0xde | 0xdf => Head::Dict(length(rest, marker - 0xdd)?),
        _ => Head::Octets(0),
    })
}

/// Reads how a value of CBOR begins.
pub(super) fn cbor(rest: &mut &[u8]) -> Result<Head, Malformed> {
    let first = number(rest, 1)?;
    let value = match first & 0x1f {
        small @ 0..=23 => small,
        size @ 24..=27 => number(rest, 1 << (size - 24))?,
        _ => return Err(Malformed),
    };
    let length = value as usize;
    Ok(match first >> 5 {
        0 => Head::Uint(value),
        2 => Head::Octets(length),
        3 => Head::Text(length),
        4 => Head::List(length),
        5 => Head::Dict(length),
        6 => Head::Tag,
        // A negative number, or one with a fraction, or true, false and null: it is in the head as a whole.
        _ => Head::Octets(0),
    })
}

/// Writes a whole number of MessagePack.
pub(super) fn put_msgpack_uint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => put(0xcd, &(value as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => put(0xce, &(value as u32).to_be_bytes(), out),
        _ => put(0xcf, &value.to_be_bytes(), out),
    }
}

/// Writes the beginning of a string of MessagePack.
pub(super) fn put_msgpack_text(length: usize, out: &mut Vec<u8>) {
    match length {
        0..=31 => out.push(0xa0 | length as u8),
        32..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        0x100..=0xffff => put(0xda, &(length as u16).to_be_bytes(), out),
        _ => put(0xdb, &(length as u32).to_be_bytes(), out),
    }
}

/// Writes the beginning of a value of CBOR of one of the eight major types.
pub(super) fn put_cbor(major: u8, value: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major | value as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, value as u8]),
        0x100..=0xffff => put(major | 25, &(value as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => put(major | 26, &(value as u32).to_be_bytes(), out),
        _ => put(major | 27, &value.to_be_bytes(), out),
    }
}

fn put(marker: u8, number: &[u8], out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(number);
}
