//! From one serializer into another: every value is written as soon as it is read, and none is kept.

use super::{Kind, Serializer, Writer, payload};
use crate::message::value::{INVALID_BINARY, OVER_64_BITS};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// Appends a well-formed value in another serializer. Fails if it cannot be read; what can be read but not written is
/// told in `refused`, the first of all that is.
pub(super) fn append(
    from: Serializer,
    bytes: &[u8],
    to: Serializer,
    out: &mut Vec<u8>,
    refused: &mut Option<String>,
) -> Result<(), String> {
    let writer = Writer::new(to, out);
    let mut transcoder =
        Transcoder { from_json: from == Serializer::Json, writer, refused, long: Vec::new(), growth: 0 };
    payload::read(from, bytes, &mut transcoder)?;
    transcoder.lengthen_heads();
    Ok(())
}

/// Writes what it reads.
///
/// MessagePack and CBOR have the number of items in front of them, JSON tells it only by its end. So a head of one octet
/// is left for it, which is enough for most; those that are longer are put in when all is written.
struct Transcoder<'a> {
    /// Whether what is read is JSON, whose strings may be binary.
    from_json: bool,
    writer: Writer<'a>,
    refused: &'a mut Option<String>,
    /// The lists and dicts whose heads are longer.
    long: Vec<Opened>,
    /// How many octets these heads have beyond their first.
    growth: usize,
}

/// A list or dict whose head stands at `at`.
struct Opened {
    at: usize,
    kind: Kind,
    count: u32,
}

impl Transcoder<'_> {
    /// Writes the head of an empty list or dict, which has one octet.
    fn open(&mut self, kind: Kind) -> Opened {
        let opened = Opened { at: self.writer.out.len(), kind, count: 0 };
        head(&mut self.writer, &opened);
        opened
    }

    /// Ends a list or dict, and puts its head in place if it has one octet still.
    fn close(&mut self, opened: Opened) {
        if self.writer.serializer == Serializer::Json {
            return if opened.kind == Kind::Dict { self.writer.end_dict() } else { self.writer.end_list() };
        }
        let end = self.writer.out.len();
        head(&mut self.writer, &opened);
        match self.writer.out[end..] {
            [short] => self.writer.out[opened.at] = short,
            [_, ref more @ ..] => {
                self.growth += more.len();
                self.long.push(opened);
            }
            [] => {}
        }
        self.writer.out.truncate(end);
    }

    /// Puts in the heads that are longer than the room left for them, from the last to the first: each octet behind
    /// them moves once.
    fn lengthen_heads(mut self) {
        let out = &mut *self.writer.out;
        let (mut from, mut to) = (out.len(), out.len() + self.growth);
        out.resize(to, 0);
        self.long.sort_unstable_by_key(|opened| opened.at);
        let mut bytes = Vec::new();
        for opened in self.long.iter().rev() {
            bytes.clear();
            head(&mut Writer::new(self.writer.serializer, &mut bytes), opened);
            let inside = opened.at + 1..from;
            to -= inside.len();
            out.copy_within(inside, to);
            to -= bytes.len();
            out[to..][..bytes.len()].copy_from_slice(&bytes);
            from = opened.at;
        }
    }

    /// Notes that a value has no form.
    fn refuse(&mut self, problem: impl fmt::Display) {
        self.refused.get_or_insert_with(|| problem.to_string());
    }
}

/// Writes its head for as many items as it has so far.
fn head(writer: &mut Writer<'_>, opened: &Opened) {
    let count = opened.count as usize;
    if opened.kind == Kind::Dict { writer.dict(count) } else { writer.list(count) }
}

impl<'de> DeserializeSeed<'de> for &mut Transcoder<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Transcoder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that every serializer can carry")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.writer.null();
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.writer.boolean(value);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.writer.integer(number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        match u64::try_from(number) {
            Ok(number) => self.writer.integer(number),
            Err(_) => self.writer.negative(number),
        }
        Ok(())
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        Err(E::custom(OVER_64_BITS))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        Err(E::custom(OVER_64_BITS))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        if self.writer.serializer == Serializer::Json && !number.is_finite() {
            self.refuse(format_args!("JSON has no number {number}"));
        } else {
            self.writer.float(number);
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        match text.strip_prefix('\0') {
            Some(encoded) if self.from_json => {
                let octets = BASE64_STANDARD.decode(encoded).map_err(|_| E::custom(INVALID_BINARY))?;
                self.writer.binary(&octets);
            }
            Some(_) if self.writer.serializer == Serializer::Json => {
                self.refuse("JSON has no text that begins with U+0000");
            }
            _ => self.writer.string(text),
        }
        Ok(())
    }

    fn visit_bytes<E>(self, octets: &[u8]) -> Result<(), E> {
        self.writer.binary(octets);
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(de::Error::custom("an extension type of MessagePack"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut list = self.open(Kind::List);
        while items.next_element_seed(&mut *self)?.is_some() {
            list.count += 1;
        }
        self.close(list);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut dict = self.open(Kind::Dict);
        // JSON has no other keys.
        let from_json = self.from_json;
        let no_string =
            |error| if from_json { error } else { de::Error::custom("a key that is not a string") };
        while entries.next_key_seed(Key(&mut self.writer)).map_err(no_string)?.is_some() {
            entries.next_value_seed(&mut *self)?;
            dict.count += 1;
        }
        self.close(dict);
        Ok(())
    }
}

/// Writes a key, which is text and nothing else.
struct Key<'a, 'w>(&'a mut Writer<'w>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string as key")
    }

    fn visit_str<E>(self, key: &str) -> Result<(), E> {
        self.0.key(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Elements, Payload, Raw, Untranscodable},
        Serializer::{Cbor, Json, MessagePack},
        *,
    };
    use bytes::Bytes;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    /// As deep as messages have it.
    const DEPTH: usize = 119;

    /// By way of values.
    fn by_values(payload: &Payload, to: Serializer) -> Result<Payload, Untranscodable> {
        match payload.open() {
            Ok(arguments) => Payload::build(to, &arguments),
            Err(problem) if problem == INVALID_BINARY => Err(Untranscodable::Malformed(problem)),
            Err(problem) => Err(Untranscodable::Unrepresentable { to, problem }),
        }
    }

    /// Each other serializer is told the same as by way of values; how many have a form for it.
    fn check(serializer: Serializer, args: &[u8], kwargs: &[u8]) -> usize {
        let part = |bytes: &[u8]| (!bytes.is_empty()).then(|| Bytes::copy_from_slice(bytes));
        let payload = Payload { serializer, args: part(args), kwargs: part(kwargs) };
        let others = Serializer::ALL.into_iter().filter(|to| *to != serializer);
        let forms = others.map(|to| {
            let transcoded = payload.transcode(to);
            let (args, kwargs) = (args.escape_ascii(), kwargs.escape_ascii());
            assert_eq!(transcoded, by_values(&payload, to), "{args} {kwargs} from {serializer} to {to}");
            usize::from(transcoded.is_ok())
        });
        forms.sum()
    }

    /// Whether it is such a list or dict as messages have it.
    fn is_sound(serializer: Serializer, bytes: &[u8], kind: Kind) -> bool {
        let raw = Raw { serializer, bytes };
        // A message that consists of it.
        let message = match serializer {
            Json => [b"[", bytes, b"]"].concat(),
            MessagePack => [b"\x91", bytes].concat(),
            Cbor => [b"\x81", bytes].concat(),
        };
        let mut elements = Elements::new();
        Raw::cut(serializer, &message, DEPTH + 1, &mut elements).is_ok()
            && matches!(&elements[..], [element] if element.bytes == bytes)
            && raw.kind() == kind
            && !raw.is_empty()
    }

    /// What every serializer has a form for.
    fn plain(serializer: Serializer) -> &'static [&'static [u8]] {
        match serializer {
            Json => &[
                b"null",
                b"true",
                b"0",
                b"-0",
                b"-33",
                b"9007199254740993",
                b"18446744073709551615",
                b"-9223372036854775808",
                b"1e20",
                b"-0.0",
                b"0.1",
                b"8.2e+301",
                b"5e-324",
                b"\"\"",
                b"\"a \\ud83d\\udd11 \\\" \\u0001 \xf0\x9f\x94\x91\"",
                b"\"\\u0000\"",
                b"\"\\u0000AP8=\"",
                b"[ ]",
                b"{ }",
            ],
            MessagePack => &[
                b"\xc0",
                b"\xc2",
                b"\x7f",
                b"\xe0",
                b"\xcc\x01",
                b"\xcd\x01\0",
                b"\xce\0\x01\0\0",
                b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\xd0\x80",
                b"\xd0\x7f",
                b"\xd1\xff\x7f",
                b"\xd2\xff\xff\x7f\xff",
                b"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff",
                b"\xd3\x80\0\0\0\0\0\0\0",
                b"\xca\x3d\xcc\xcc\xcd",
                b"\xcb\x80\0\0\0\0\0\0\0",
                b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a",
                b"\xa4\xf0\x9f\x94\x91",
                b"\xd9\x02\"\x01",
                b"\xda\0\x02\\\x7f",
                b"\xdb\0\0\0\x01/",
                b"\xc4\x03\0\xff\x01",
                b"\xc5\0\0",
                b"\xc6\0\0\0\x01a",
                b"\xdc\0\0",
                b"\xdf\0\0\0\0",
            ],
            Cbor => &[
                b"\xf6",
                b"\xf7",
                b"\xf5",
                b"\x17",
                b"\x18\x01",
                b"\x19\x01\0",
                b"\x1a\0\x01\0\0",
                b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\x37",
                b"\x38\x80",
                b"\x39\x80\0",
                b"\x3a\x80\0\0\0",
                b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff",
                b"\xf9\x3e\0",
                b"\xf9\0\x01",
                b"\xfa\x3d\xcc\xcc\xcd",
                b"\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a",
                b"\x64\xf0\x9f\x94\x91",
                b"\x78\x02\"\x01",
                b"\x7f\x61a\x60\x62bc\xff",
                b"\x43\0\xff\x01",
                b"\x5f\x41\0\x40\x41a\xff",
                b"\x9f\xff",
                b"\xbf\xff",
            ],
        }
    }

    /// What at least one other serializer has no form for.
    fn hostile(serializer: Serializer) -> &'static [&'static [u8]] {
        match serializer {
            Json => &[
                b"18446744073709551616",
                b"-9223372036854775809",
                b"1e999",
                b"\"\\ud800\"",
                b"\"\\udc00a\"",
                b"\"\\u0000*\"",
                b"\"\\u0000AP8\"",
                b"{\"\\ud800\":0}",
            ],
            MessagePack => &[
                b"\xcb\x7f\xf8\0\0\0\0\0\0",
                b"\xca\x7f\x80\0\0",
                b"\xca\xff\x80\0\x01",
                b"\xa3\0AA",
                b"\xd4\0\0",
                b"\xd6\xff\0\0\0\0",
                b"\xc7\x02\x05\0\0",
                b"\x81\x01\x02",
                b"\x81\xc4\x01a\x02",
                b"\x81\xc0\x02",
                b"\x81\x90\x02",
                b"\x81\xd4\0\0\x02",
            ],
            Cbor => &[
                b"\xf9\x7e\0",
                b"\xf9\x7c\0",
                b"\xfa\xff\x80\0\0",
                b"\xfb\x7f\xf8\0\0\0\0\0\0",
                b"\x63\0AA",
                b"\x7f\x61\0\x61a\xff",
                b"\xc1\0",
                b"\xd9\xd9\xf7\x80",
                b"\xc2\x49\x01\0\0\0\0\0\0\0\0",
                b"\xc2\x41\x01",
                b"\xc3\x40",
                b"\xc2\x51\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\xf0",
                b"\xf8\xff",
                b"\xa1\x01\x02",
                b"\xa1\x41a\x02",
                b"\xa1\xf6\x02",
                b"\xa1\xc1\x61a\x02",
            ],
        }
    }

    /// Keys, of which one comes often.
    fn keys(serializer: Serializer) -> &'static [&'static [u8]] {
        match serializer {
            Json => &[b"\"a\"", b"\"a\"", b"\"\\u0000*\"", b"\"\"", b" \"\\u00e9\\n\" "],
            MessagePack => &[b"\xa1a", b"\xd9\x01a", b"\xa2\0*", b"\xa0", b"\xda\0\x02\xc3\xa9"],
            Cbor => &[b"\x61a", b"\x7f\x61a\xff", b"\x62\0*", b"\x60", b"\x78\x02\xc3\xa9"],
        }
    }

    /// Puts values into a list, or keys and values into a dict.
    fn enclose(serializer: Serializer, kind: Kind, items: &[Vec<u8>], head: usize) -> Vec<u8> {
        let count = if kind == Kind::Dict { items.len() / 2 } else { items.len() };
        let (two, four) = ((count as u16).to_be_bytes(), (count as u32).to_be_bytes());
        let is_dict = u8::from(kind == Kind::Dict);
        let mut out = Vec::new();
        match serializer {
            Json => {
                out.push(b"[{"[usize::from(is_dict)]);
                for (index, item) in items.iter().enumerate() {
                    match index {
                        0 => {}
                        _ if kind == Kind::Dict && index % 2 == 1 => out.push(b':'),
                        _ => out.push(b','),
                    }
                    out.extend_from_slice(item);
                    out.extend_from_slice(&b" \n\t"[..head % 3]);
                }
                out.push(b"]}"[usize::from(is_dict)]);
            }
            MessagePack => {
                match (head, count) {
                    (0, ..16) => out.push((0x90 - 0x10 * is_dict) | count as u8),
                    (..=1, ..0x1_0000) => out.extend([&[0xdc + 2 * is_dict], &two[..]].concat()),
                    _ => out.extend([&[0xdd + 2 * is_dict], &four[..]].concat()),
                }
                out.extend(items.concat());
            }
            Cbor => {
                let major = 0x80 + 0x20 * is_dict;
                match (head, count) {
                    (0, ..24) => out.push(major | count as u8),
                    (..=1, ..0x1_0000) => out.extend([&[major | 25], &two[..]].concat()),
                    (2, _) => out.extend([&[major | 26], &four[..]].concat()),
                    _ => out.push(major | 31),
                }
                out.extend(items.concat());
                if head > 2 {
                    out.push(0xff);
                }
            }
        }
        out
    }

    fn pick<T: Copy>(random: &mut StdRng, items: &[T]) -> T {
        items[random.random_range(0..items.len())]
    }

    /// Any list or dict.
    fn container(
        random: &mut StdRng,
        serializer: Serializer,
        kind: Kind,
        depth: usize,
        hostility: f64,
    ) -> Vec<u8> {
        const COUNTS: [usize; 16] = [1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 15, 16, 23, 24, 40, 256];
        // Large ones stand at the bottom.
        let count = pick(random, if depth > 0 { &COUNTS[..14] } else { &COUNTS });
        let mut items = Vec::new();
        for _ in 0..count {
            if kind == Kind::Dict {
                items.push(pick(random, keys(serializer)).to_vec());
            }
            items.push(if depth > 0 && random.random_bool(0.3) {
                let kind = pick(random, &[Kind::List, Kind::Dict]);
                container(random, serializer, kind, depth - 1, hostility)
            } else if random.random_bool(hostility) {
                pick(random, hostile(serializer)).to_vec()
            } else {
                pick(random, plain(serializer)).to_vec()
            });
        }
        enclose(serializer, kind, &items, random.random_range(0..4))
    }

    #[test]
    fn the_way_by_values_leads_to_the_same() {
        let mut random = StdRng::seed_from_u64(90);
        let (mut forms, mut none) = (0, 0);
        for _ in 0..3_000 {
            let serializer = pick(&mut random, &Serializer::ALL);
            let hostility = pick(&mut random, &[0.0, 0.02, 0.2]);
            let mut part = |kind| {
                let depth = random.random_range(0..4);
                let mut bytes = container(&mut random, serializer, kind, depth, hostility);
                if random.random_bool(0.5) {
                    let mut changed = bytes.clone();
                    let at = random.random_range(0..changed.len());
                    changed[at] = random.random();
                    if is_sound(serializer, &changed, kind) {
                        bytes = changed;
                    }
                }
                assert!(is_sound(serializer, &bytes, kind), "{serializer}: {}", bytes.escape_ascii());
                bytes
            };
            let (args, kwargs) = (part(Kind::List), part(Kind::Dict));
            let found = check(serializer, &args, &kwargs) + check(serializer, b"", &kwargs);
            forms += found;
            none += 4 - found;
        }
        assert!(forms > 3_000 && none > 3_000, "{forms} forms, {none} times none");
    }

    #[test]
    fn every_value_alone_leads_to_the_same() {
        for serializer in Serializer::ALL {
            for value in [plain(serializer), hostile(serializer)].concat() {
                let args = enclose(serializer, Kind::List, &[value.to_vec()], 0);
                let kwargs =
                    enclose(serializer, Kind::Dict, &[keys(serializer)[2].to_vec(), value.to_vec()], 0);
                assert!(is_sound(serializer, &args, Kind::List), "{serializer}: {}", args.escape_ascii());
                let forms = check(serializer, &args, &kwargs);
                assert_eq!(forms == 2, plain(serializer).contains(&value), "{}", args.escape_ascii());
            }
        }
    }

    #[test]
    fn integers_at_the_ends_of_every_width_lead_to_the_same() {
        let ends = [0, 5, 7, 8, 15, 16, 31, 32, 63].map(|bits| 1i128 << bits);
        let numbers: Vec<_> = ends
            .iter()
            .flat_map(|end| [end - 1, *end, 2 * end - 1, 1 - end, -end, -end - 1])
            .filter(|number| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number))
            .collect();
        let args = format!("{numbers:?}");
        assert_eq!(check(Json, args.as_bytes(), b""), 2);
        for to in [MessagePack, Cbor] {
            let args = Some(Bytes::from(args.clone()));
            let form = Payload { serializer: Json, args, kwargs: None }.transcode(to).unwrap();
            assert_eq!(check(to, &form.args.unwrap(), b""), 2);
        }
    }

    #[test]
    fn heads_of_every_length_stand_beside_and_inside_each_other() {
        const COUNTS: [usize; 10] = [1, 15, 16, 23, 24, 255, 256, 65_535, 65_536, 3];
        for serializer in Serializer::ALL {
            let [null, key] = [plain(serializer)[0], keys(serializer)[0]].map(<[u8]>::to_vec);
            let mut inner = null.clone();
            for count in COUNTS {
                let mut list = vec![null.clone(); count];
                list[count / 2] = inner;
                let list = enclose(serializer, Kind::List, &list, 3);
                let mut dict = vec![[key.clone(), null.clone()]; count].concat();
                dict[1] = list.clone();
                let dict = enclose(serializer, Kind::Dict, &dict, 3);
                assert_eq!(check(serializer, &list, &dict), 2);
                inner = dict;
            }
        }
    }

    #[test]
    fn long_heads_stand_as_deep_as_messages_have_it() {
        for serializer in Serializer::ALL {
            let null = plain(serializer)[0].to_vec();
            let mut args = null.clone();
            for _ in 0..DEPTH {
                let mut items = vec![null.clone(); 30];
                items[20] = args;
                args = enclose(serializer, Kind::List, &items, 1);
            }
            assert!(is_sound(serializer, &args, Kind::List));
            assert_eq!(check(serializer, &args, b""), 2);
        }
    }
}
