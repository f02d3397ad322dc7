//! What the elements and options of messages can be, and the macros that make messages of them.

use super::{
    id::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId},
    uri::{Match, Uri},
    value::{Dict, Text, Value},
};
use crate::codec::{Kind, Malformed, Raw, Writer};
use std::{ops::Deref, sync::Arc};

/// A value of a known type, as an element of a message or behind a key of its options.
pub(crate) trait Field: Sized {
    /// What it must be, as error texts say it.
    const EXPECTED: &'static str;

    /// Reads it; `None` if the value is of another type.
    fn read(raw: Raw<'_>) -> Option<Self>;

    /// Writes it.
    fn write(&self, writer: &mut Writer<'_>);
}

/// An element of a message: a [`Field`], or a dict of options.
pub(crate) trait Element: Sized {
    /// Reads it. `message` and `name` say in an error which element it is.
    fn read_element(raw: Raw<'_>, message: &str, name: &str) -> Result<Self, Malformed>;

    /// Writes it.
    fn write_element(&self, writer: &mut Writer<'_>);
}

/// A dict of options or details.
pub trait Options: PartialEq + 'static {
    /// One without entries.
    fn empty() -> &'static Self;
}

/// A dict of options or details that has no entry in most messages, and takes hardly any room in those.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sparse<T>(Option<Box<T>>);

impl<T> Sparse<T> {
    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<T: Options> From<T> for Sparse<T> {
    fn from(options: T) -> Self {
        Self((options != *T::empty()).then(|| Box::new(options)))
    }
}

impl<T: Options> Deref for Sparse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(options) => options,
            None => T::empty(),
        }
    }
}

impl<T: Options + Element> Element for Sparse<T> {
    fn read_element(raw: Raw<'_>, message: &str, name: &str) -> Result<Self, Malformed> {
        if raw.kind() == Kind::Dict && raw.is_empty() {
            return Ok(Self(None));
        }
        T::read_element(raw, message, name).map(Self::from)
    }

    fn write_element(&self, writer: &mut Writer<'_>) {
        match &self.0 {
            Some(options) => options.write_element(writer),
            None => {
                writer.dict(0);
                writer.end_dict();
            }
        }
    }
}

impl<T: Field> Element for T {
    fn read_element(raw: Raw<'_>, message: &str, name: &str) -> Result<Self, Malformed> {
        T::read(raw).ok_or_else(|| expected(format_args!("{message}.{name}"), T::EXPECTED, raw))
    }

    fn write_element(&self, writer: &mut Writer<'_>) {
        self.write(writer);
    }
}

/// The error that says what stands where something else must.
pub(crate) fn expected(place: impl std::fmt::Display, expected: &str, raw: Raw<'_>) -> Malformed {
    let kind = raw.kind().to_string();
    if kind == expected {
        Malformed::shape(format_args!("{place} must be {expected} that every serializer can carry"))
    } else if expected.contains(&kind) {
        Malformed::shape(format_args!("{place} must be {expected}"))
    } else {
        Malformed::shape(format_args!("{place} must be {expected}, not {kind}"))
    }
}

impl Field for bool {
    const EXPECTED: &'static str = "a boolean";

    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.boolean()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.boolean(*self);
    }
}

impl Field for u64 {
    const EXPECTED: &'static str = "an integer that is not negative";

    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.integer()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.integer(*self);
    }
}

macro_rules! text_fields {
    ($($name:ty)*) => {$(
        impl Field for $name {
            const EXPECTED: &'static str = "a string";

            fn read(raw: Raw<'_>) -> Option<Self> {
                raw.string().map(|text| Self::from(&*text))
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.string(self);
            }
        }
    )*};
}

text_fields! { Arc<str> Box<str> Uri }

impl Field for Text {
    const EXPECTED: &'static str = <Box<str>>::EXPECTED;

    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.string().map(|text| text.into_owned().into())
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.string(self);
    }
}

macro_rules! id_fields {
    ($($name:ident)*) => {$(
        impl Field for $name {
            const EXPECTED: &'static str = "an id, an integer from 1 to 2^53";

            fn read(raw: Raw<'_>) -> Option<Self> {
                raw.id().and_then(Self::new)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.integer(self.get());
            }
        }
    )*};
}

id_fields! { SessionId PublicationId RequestId SubscriptionId RegistrationId }

impl Field for Vec<SessionId> {
    const EXPECTED: &'static str = "a list of ids, integers from 1 to 2^53";

    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.items()?.map(SessionId::read).collect()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        write_list(self, writer);
    }
}

impl Field for Vec<Box<str>> {
    const EXPECTED: &'static str = "a list of strings";

    fn read(raw: Raw<'_>) -> Option<Self> {
        raw.items()?.map(<Box<str>>::read).collect()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        write_list(self, writer);
    }
}

fn write_list<T: Field>(items: &[T], writer: &mut Writer<'_>) {
    writer.list(items.len());
    for item in items {
        item.write(writer);
    }
    writer.end_list();
}

impl Field for Dict {
    const EXPECTED: &'static str = "a dict";

    fn read(raw: Raw<'_>) -> Option<Self> {
        match raw.value() {
            Ok(Value::Dict(dict)) => Some(dict),
            _ => None,
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.dict(self.iter().count());
        for (key, value) in self.iter() {
            writer.key(key);
            writer.value(value);
        }
        writer.end_dict();
    }
}

/// Defines a type whose values are words, such as the option `match`.
macro_rules! words {
    ($name:ident: $expected:literal { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word that stands for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Field for $name {
            const EXPECTED: &'static str = $expected;

            fn read(raw: Raw<'_>) -> Option<Self> {
                match &*raw.string()? { $($word => Some(Self::$variant),)+ _ => None }
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.string(self.word());
            }
        }
    };
}
pub(crate) use words;

words! { Match: "a string, one of exact, prefix and wildcard" {
    Exact = "exact", Prefix = "prefix", Wildcard = "wildcard",
}}

/// Defines the dict of options or details of a message: each known key with its type, all optional.
/// Unknown keys are ignored; a known key with null counts as absent.
macro_rules! options {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $key:ident: $type:ty),* $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $key: Option<$type>,)*
        }

        impl $crate::message::field::Options for $name {
            fn empty() -> &'static Self {
                static EMPTY: $name = $name { $($key: None),* };
                &EMPTY
            }
        }

        impl $crate::message::field::Element for $name {
            fn read_element(
                raw: $crate::codec::Raw<'_>,
                message: &str,
                name: &str,
            ) -> std::result::Result<Self, $crate::codec::Malformed> {
                let mut options = Self::default();
                let entries = raw.entries().ok_or_else(|| {
                    $crate::message::field::expected(format_args!("{message}.{name}"), "a dict", raw)
                })?;
                for (key, value) in entries {
                    let key = key.ok_or_else(|| {
                        $crate::codec::Malformed::shape(format_args!("{message}.{name} has a key that is not a string"))
                    })?;
                    match &*key {
                        $($crate::message::field::word!($key) => $crate::message::field::read_option(
                            &mut options.$key, value, format_args!("{message}.{name}.{key}"),
                        )?,)*
                        _ => {}
                    }
                }
                Ok(options)
            }

            fn write_element(&self, writer: &mut $crate::codec::Writer<'_>) {
                let count = 0 $(+ usize::from(self.$key.is_some()))*;
                writer.dict(count);
                $(if let Some(value) = &self.$key {
                    writer.key($crate::message::field::word!($key));
                    $crate::message::field::Field::write(value, writer);
                })*
                writer.end_dict();
            }
        }
    )+};
}
pub(crate) use options;

/// A key as it travels: `match` is a word of Rust as well.
macro_rules! word {
    (r#match) => {
        "match"
    };
    ($key:ident) => {
        stringify!($key)
    };
}
pub(crate) use word;

/// Reads the value of a known key.
pub(crate) fn read_option<T: Field>(
    option: &mut Option<T>,
    value: Raw<'_>,
    place: std::fmt::Arguments<'_>,
) -> std::result::Result<(), Malformed> {
    match T::read(value) {
        Some(_) if option.is_some() => return Err(Malformed::shape(format_args!("{place} is given twice"))),
        Some(value) => *option = Some(value),
        None if value.kind() == Kind::Null => {}
        None => return Err(expected(place, T::EXPECTED, value)),
    }
    Ok(())
}

/// Gives options that can put a payload into passthru mode (section "Payload Passthru Mode") the means to say so.
macro_rules! passthru {
    ($($name:ident $place:literal)+) => {$(
        impl $name {
            /// Which option of payload passthru mode is given, if any is.
            pub(crate) fn passthru(&self) -> Option<&'static str> {
                [
                    (&self.ppt_scheme, concat!($place, ".ppt_scheme")),
                    (&self.ppt_serializer, concat!($place, ".ppt_serializer")),
                    (&self.ppt_cipher, concat!($place, ".ppt_cipher")),
                    (&self.ppt_keyid, concat!($place, ".ppt_keyid")),
                ]
                .into_iter()
                .find_map(|(value, option)| value.as_ref().map(|_| option))
            }
        }
    )+};
}
pub(crate) use passthru;

/// Gives options the means to hand what they say of a payload in passthru mode on to the details it travels with.
macro_rules! packing {
    ($($from:ident => $to:ident)+) => {$(
        impl $from {
            /// Details that say the same of the payload, and nothing else.
            pub(crate) fn packing(&self) -> $to {
                $to {
                    ppt_scheme: self.ppt_scheme.clone(),
                    ppt_serializer: self.ppt_serializer.clone(),
                    ppt_cipher: self.ppt_cipher.clone(),
                    ppt_keyid: self.ppt_keyid.clone(),
                    ..$to::default()
                }
            }
        }
    )+};
}
pub(crate) use packing;

/// A message of one type: its code, name and elements.
pub(crate) trait Message: Sized {
    /// The integer at its head.
    const CODE: u64;
    /// Its name in the specification.
    const NAME: &'static str;

    /// Reads its elements, the code included, which stand in `frame`.
    fn read(elements: &[Raw<'_>], frame: &bytes::Bytes) -> std::result::Result<Self, Malformed>;

    /// Writes it whole.
    fn write(&self, writer: &mut Writer<'_>);
}

/// Defines messages as structs of their elements in order, each with its name in the specification.
/// `+ payload` at the end stands for the optional arguments.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        $name:ident = $code:literal $spec:literal {
            $($(#[$doc:meta])* $field:ident $element:literal: $type:ty),* $(,)?
        } $(+ $payload:ident)?
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            $(
                /// The arguments of the application, closed.
                pub $payload: $crate::codec::Payload,
            )?
        }

        impl $crate::message::field::Message for $name {
            const CODE: u64 = $code;
            const NAME: &'static str = $spec;

            #[inline]
            fn read(
                elements: &[$crate::codec::Raw<'_>],
                frame: &bytes::Bytes,
            ) -> std::result::Result<Self, $crate::codec::Malformed> {
                const FIXED: usize = 1 $(+ { let _ = $element; 1 })*;
                const MOST: usize = FIXED $(+ { let _ = stringify!($payload); 2 })?;
                let wrong_length = || $crate::message::field::wrong_length($spec, elements.len(), FIXED, MOST);
                if elements.len() > MOST {
                    return Err(wrong_length());
                }
                let mut rest = elements.iter().skip(1);
                let mut next = || rest.next().copied().ok_or_else(wrong_length);
                $(let $field = <$type as $crate::message::field::Element>::read_element(next()?, $spec, $element)?;)*
                $(let $payload = $crate::message::field::read_payload(
                    elements.get(FIXED..).unwrap_or_default(), frame, $spec,
                )?;)?
                let _ = frame;
                Ok(Self { $($field,)* $($payload)? })
            }

            fn write(&self, writer: &mut $crate::codec::Writer<'_>) {
                let count = 1 $(+ { let _ = $element; 1 })*
                    $(+ $crate::codec::Writer::payload_elements(&self.$payload))?;
                writer.list(count);
                writer.integer($code);
                $($crate::message::field::Element::write_element(&self.$field, writer);)*
                $(writer.payload(&self.$payload);)?
                writer.end_list();
            }
        }
    )+};
}
pub(crate) use message;

pub(crate) fn wrong_length(message: &str, found: usize, fixed: usize, most: usize) -> Malformed {
    let found = if found > crate::codec::MOST_ELEMENTS { "more".to_owned() } else { found.to_string() };
    if fixed == most {
        Malformed::shape(format_args!("{message} has {fixed} elements, not {found}"))
    } else {
        Malformed::shape(format_args!("{message} has {fixed} to {most} elements, not {found}"))
    }
}

/// Takes the arguments out of what follows the fixed elements of a message.
pub(crate) fn read_payload(
    rest: &[Raw<'_>],
    frame: &bytes::Bytes,
    message: &str,
) -> std::result::Result<crate::codec::Payload, Malformed> {
    let (args, kwargs) = (rest.first(), rest.get(1));
    for (element, name, kind) in [(args, "Arguments", Kind::List), (kwargs, "ArgumentsKw", Kind::Dict)] {
        if let Some(raw) = element
            && raw.kind() != kind
        {
            return Err(expected(format_args!("{message}.{name}"), &kind.to_string(), *raw));
        }
    }
    let serializer = args.map(|raw| raw.serializer);
    Ok(serializer.map_or(crate::codec::Payload::EMPTY, |serializer| {
        crate::codec::Payload::cut(serializer, frame, args, kwargs)
    }))
}

/// Defines who may send which messages, as an enum that reads no others.
macro_rules! direction {
    ($(#[$meta:meta])* $name:ident, $sender:literal { $($variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] $variant($variant),)+
        }

        impl $name {
            /// The names of all of them in the specification.
            pub(crate) const NAMES: [&str; [$(stringify!($variant)),+].len()] =
                [$(<$variant as $crate::message::field::Message>::NAME),+];

            /// Its name in the specification.
            pub fn name(&self) -> &'static str {
                Self::NAMES[self.place()]
            }

            /// Which of the names is its own.
            pub(crate) fn place(&self) -> usize {
                enum Place { $($variant),+ }
                (match self { $(Self::$variant(_) => Place::$variant),+ }) as usize
            }

            /// Decodes the message that `frame` holds; lists and dicts may stand `depth` deep in it.
            pub fn decode(
                serializer: $crate::codec::Serializer,
                frame: &bytes::Bytes,
                depth: usize,
            ) -> std::result::Result<Self, $crate::codec::Malformed> {
                let mut elements = $crate::codec::Elements::new();
                $crate::codec::Raw::cut(serializer, frame, depth, &mut elements)?;
                let code = $crate::message::code(&elements)?;
                $(if code == <$variant as $crate::message::field::Message>::CODE {
                    let message = <$variant as $crate::message::field::Message>::read(&elements, frame)?;
                    return Ok(Self::$variant(message));
                })+
                Err($crate::message::not_sent_by(code, $sender))
            }

            /// Appends the message in the form of `serializer`, which must be that of its payload.
            pub fn encode(&self, serializer: $crate::codec::Serializer, out: &mut Vec<u8>) {
                let mut writer = $crate::codec::Writer::new(serializer, out);
                match self {
                    $(Self::$variant(message) => $crate::message::field::Message::write(message, &mut writer)),+
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(message: $variant) -> Self {
                Self::$variant(message)
            }
        })+
    };
}
pub(crate) use direction;

/// Defines the two messages that end something either on request or, with request 0, by the router's will
/// (sections "Subscription Revocation" and "Registration Revocation").
macro_rules! revocable {
    ($(#[$meta:meta])* $name:ident = $code:literal $spec:literal $element:literal: $details:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            /// It was asked for by this request.
            Answer(RequestId),
            /// The router ended it.
            Revoked($details),
        }

        impl $crate::message::field::Message for $name {
            const CODE: u64 = $code;
            const NAME: &'static str = $spec;

            fn read(
                elements: &[$crate::codec::Raw<'_>],
                _: &bytes::Bytes,
            ) -> std::result::Result<Self, $crate::codec::Malformed> {
                use $crate::message::field::{Element, expected, wrong_length};
                match elements {
                    [_, request] => RequestId::read_element(*request, $spec, $element).map(Self::Answer),
                    [_, zero, details] if zero.integer() == Some(0) => {
                        $details::read_element(*details, $spec, "Details").map(Self::Revoked)
                    }
                    [_, zero, _] => Err(expected(concat!($spec, ".", $element), "an integer, 0 where Details follow", *zero)),
                    _ => Err(wrong_length($spec, elements.len(), 2, 3)),
                }
            }

            fn write(&self, writer: &mut $crate::codec::Writer<'_>) {
                use $crate::message::field::Element;
                match self {
                    Self::Answer(request) => {
                        writer.list(2);
                        writer.integer($code);
                        request.write_element(writer);
                    }
                    Self::Revoked(details) => {
                        writer.list(3);
                        writer.integer($code);
                        writer.integer(0);
                        details.write_element(writer);
                    }
                }
                writer.end_list();
            }
        }
    };
}
pub(crate) use revocable;
