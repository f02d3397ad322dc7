//! The JSON Schema of the format: what editors know of it, and what the structure of a file is checked against.

use super::format::Config;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The JSON Schema of a configuration file.
pub fn schema() -> Value {
    schema_of::<Config>()
}

/// The JSON Schema of a file of this form.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    forget_null(&mut schema);
    schema
}

/// Takes null out of types, choices and defaults: a file has no such value, a key is absent instead.
fn forget_null(value: &mut Value) {
    if let Value::Object(schema) = value {
        schema.retain(|_, value| !value.is_null());
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                schema.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(only)] = &choices[..] {
                let only = only.clone();
                schema.remove("anyOf");
                for (keyword, value) in only {
                    schema.entry(keyword).or_insert(value);
                }
            }
        }
        schema.values_mut().for_each(forget_null);
    } else if let Value::Array(list) = value {
        list.iter_mut().for_each(forget_null);
    }
}

/// What the schema says about one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'s>(pub(super) &'s Value);

impl<'s> Shape<'s> {
    /// The types that the value can have, in the words of JSON Schema.
    pub(super) fn types(self) -> Vec<&'s str> {
        if let Value::Array(types) = &self.0["type"] {
            return types.iter().filter_map(Value::as_str).collect();
        }
        // A choice of words has no type of its own.
        vec![self.0["type"].as_str().unwrap_or("string")]
    }

    /// The words that a text can be; none if it can be any.
    pub(super) fn words(self) -> Vec<&'s str> {
        self.list("oneOf").iter().filter_map(|choice| choice["const"].as_str()).collect()
    }

    /// What the schema says about a key of the table.
    pub(super) fn property(self, key: &str) -> Option<Self> {
        self.0["properties"].get(key).map(Self)
    }

    /// The keys of the table.
    pub(super) fn properties(self) -> Vec<&'s str> {
        self.0["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
    }

    /// The keys that the table must have.
    pub(super) fn required(self) -> Vec<&'s str> {
        self.list("required").iter().filter_map(Value::as_str).collect()
    }

    /// What the schema says about the elements of the list.
    pub(super) fn items(self) -> Self {
        Self(&self.0["items"])
    }

    /// Whether a list may be empty.
    pub(super) fn may_be_empty(self) -> bool {
        self.0["minItems"].as_u64().is_none_or(|least| least == 0)
    }

    /// The least and the greatest integer.
    pub(super) fn range(self) -> (i64, i64) {
        let bound = |keyword: &str| self.0[keyword].as_i64();
        (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX))
    }

    /// What is allowed at `key`, in words.
    pub(super) fn expectation(self, key: &str) -> String {
        let words = self.words();
        if !words.is_empty() {
            let words = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>();
            return format!("must be {}", one_of(&words));
        }
        let kinds = self.types().into_iter().map(|kind| match kind {
            "boolean" => "true or false".into(),
            "object" => "a table".into(),
            "array" if self.items().types() == ["object"] => format!("tables, each under {}", heading(key)),
            "array" => "a list".into(),
            "integer" => match self.range() {
                (i64::MIN, i64::MAX) => "an integer".into(),
                (least, i64::MAX) => format!("an integer of at least {least}"),
                (least, greatest) => format!("an integer from {least} to {greatest}"),
            },
            other => format!("a {other}"),
        });
        let kinds = one_of(&kinds.collect::<Vec<_>>());
        let examples = self.list("examples").iter().map(Value::to_string).collect::<Vec<_>>();
        let such_as = if examples.is_empty() { "" } else { " such as " };
        format!("must be {kinds}{such_as}{}", one_of(&examples))
    }

    fn list(self, keyword: &str) -> &'s [Value] {
        self.0[keyword].as_array().map_or(&[], Vec::as_slice)
    }
}

/// Things to choose from: `a, b or c`.
pub(super) fn one_of(things: &[impl AsRef<str>]) -> String {
    let things = things.iter().map(AsRef::as_ref).collect::<Vec<_>>();
    match things.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => things.concat(),
    }
}

/// The line above each table of a list: `[[realms.roles]]` for `realms[0].roles`.
fn heading(key: &str) -> String {
    let names = key.split('.').map(|part| part.split('[').next().unwrap_or_default());
    format!("[[{}]]", names.collect::<Vec<_>>().join("."))
}
