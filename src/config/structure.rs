//! From values to the form of a file: keys, types, words and ranges. All that is wrong is noted and taken out, so that
//! the rest can be looked at too.

use super::{
    problem::Problems,
    schema::{Shape, schema_of},
    tree::{self, Node, Tree},
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeArray, DeInteger, DeTable, DeValue, ValueDeserializer},
};

/// Reads what can be read; `None` if nothing is left.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(
    tree: &mut Tree<'_>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let schema = schema_of::<T>();
    Structure { problems }.keeps(&mut tree.root, Shape(&schema), "");
    if let DeValue::Table(root) = tree.root.get_mut() {
        // That a list is missing has been reported; the rest can be looked at without it.
        for missing in Shape(&schema).required() {
            if !root.contains_key(missing) {
                let none = Spanned::new(0..0, DeValue::Array(DeArray::new()));
                root.insert(Spanned::new(0..0, missing.to_owned().into()), none);
            }
        }
    }
    loop {
        let error = match T::deserialize(ValueDeserializer::from(tree.root.clone())) {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let span = error.span()?;
        let value = tree.find(&span)?.get_ref();
        // A table lacks a key that has been reported: it is missing, or its value has been taken out.
        if !value.is_table() {
            problems.error(
                span.clone(),
                tree.key(&span),
                format!("is {}; {}", written(value), error.message()),
            );
        }
        if !tree.take_out(&span) {
            return None;
        }
    }
}

/// A value as it is written, where it is short.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => integer(number).map_or("too large".into(), |number| number.to_string()),
        DeValue::Boolean(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => kind(value).1.into(),
    }
}

/// The type of a value: in the words of JSON Schema, and with its article.
fn kind(value: &DeValue<'_>) -> (&'static str, &'static str) {
    match value {
        DeValue::String(_) => ("string", "a string"),
        DeValue::Integer(_) => ("integer", "an integer"),
        DeValue::Float(_) => ("number", "a float"),
        DeValue::Boolean(_) => ("boolean", "a boolean"),
        DeValue::Datetime(_) => ("datetime", "a datetime"),
        DeValue::Array(_) => ("array", "a list"),
        DeValue::Table(_) => ("object", "a table"),
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The check against the schema.
struct Structure<'p, 'a> {
    problems: &'p mut Problems<'a>,
}

impl Structure<'_, '_> {
    /// Checks a value and all in it. What is wrong in it is taken out of it; tells whether it can be kept itself.
    fn keeps(&mut self, node: &mut Node<'_>, shape: Shape<'_>, key: &str) -> bool {
        let span = node.span();
        let (name, described) = kind(node.get_ref());
        // The value itself is not shown: it could be a secret that stands in the wrong place.
        if !shape.types().contains(&name) {
            self.problems.error(span, key, format!("is {described}; {}", shape.expectation(key)));
            return false;
        }
        match node.get_mut() {
            DeValue::Table(table) => self.table(table, &span, shape, key),
            DeValue::Array(list) => return self.list(list, span, shape, key),
            DeValue::String(text) => return self.text(text, span, shape, key),
            DeValue::Integer(number) => {
                let (least, greatest) = shape.range();
                if !integer(number).is_some_and(|number| (least..=greatest).contains(&number)) {
                    let text = format!("is {}; {}", written(node.get_ref()), shape.expectation(key));
                    self.problems.error(span, key, text);
                    return false;
                }
            }
            DeValue::Boolean(_) | DeValue::Float(_) | DeValue::Datetime(_) => {}
        }
        true
    }

    fn table(&mut self, table: &mut DeTable<'_>, span: &Range<usize>, shape: Shape<'_>, key: &str) {
        for missing in shape.required().into_iter().filter(|name| !table.contains_key(*name)) {
            let key = tree::join(key, missing);
            let expectation = shape.property(missing).map_or(String::new(), |shape| shape.expectation(&key));
            self.problems.error(span.clone(), &key, format!("is missing; {expectation}"));
        }
        tree::retain_keys(table, |name, node| {
            let key = tree::join(key, name.get_ref());
            if let Some(shape) = shape.property(name.get_ref()) {
                return self.keeps(node, shape, &key);
            }
            let known = shape.properties();
            let allowed = match nearest(name.get_ref(), &known) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.problems.error(name.span(), &key, format!("unknown key; {allowed}"));
            false
        });
    }

    fn list(&mut self, list: &mut DeArray<'_>, span: Range<usize>, shape: Shape<'_>, key: &str) -> bool {
        if list.is_empty() && !shape.may_be_empty() {
            self.problems.error(span, key, "is empty; must have at least one element");
            return false;
        }
        tree::retain_elements(list, |index, node| {
            self.keeps(node, shape.items(), &format!("{key}[{index}]"))
        });
        true
    }

    fn text(&mut self, text: &str, span: Range<usize>, shape: Shape<'_>, key: &str) -> bool {
        let words = shape.words();
        if words.is_empty() || words.contains(&text) {
            return true;
        }
        let hint = nearest(text, &words).map_or(String::new(), |word| format!("; did you mean {word:?}?"));
        self.problems.error(span, key, format!("is {text:?}; {}{hint}", shape.expectation(key)));
        false
    }
}

/// The known word that somebody most likely meant.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase();
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(&word, known), *known));
    let (distance, nearest) = distances.min()?;
    (distance <= nearest.len().div_ceil(3)).then_some(nearest)
}
