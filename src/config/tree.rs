//! The values of a file, each with its place in the text.

use std::{collections::HashMap, ops::Range};
use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

/// A value and its place.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// The values of a file. Those that cannot be used are taken out; the others keep their keys.
#[derive(Debug)]
pub(super) struct Tree<'i> {
    /// What is left of the file.
    pub(super) root: Node<'i>,
    keys: HashMap<Range<usize>, String>,
}

/// A place in a file where a value is or could be.
#[derive(Clone, Debug)]
pub(super) struct Place<'t, 'i> {
    tree: &'t Tree<'i>,
    node: Option<&'t Node<'i>>,
    span: Range<usize>,
    key: String,
}

impl<'i> Tree<'i> {
    /// The values of a whole file.
    pub(super) fn new(table: Spanned<DeTable<'i>>) -> Self {
        let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut keys = HashMap::new();
        name("", &root, &mut keys);
        Self { root, keys }
    }

    /// The place of the whole.
    pub(super) fn place(&self) -> Place<'_, 'i> {
        Place { tree: self, node: Some(&self.root), span: self.root.span(), key: String::new() }
    }

    /// The value that stands at exactly this place; the innermost, if there are several.
    pub(super) fn find(&self, span: &Range<usize>) -> Option<&Node<'i>> {
        find(&self.root, span)
    }

    /// The key of the value that stands at exactly this place.
    pub(super) fn key(&self, span: &Range<usize>) -> &str {
        self.keys.get(span).map_or("", String::as_str)
    }

    /// Takes out the value that stands at exactly this place; tells whether there is one.
    pub(super) fn take_out(&mut self, span: &Range<usize>) -> bool {
        take_out(&mut self.root, span)
    }
}

impl<'t, 'i> Place<'t, 'i> {
    /// The place of a key in this table.
    pub(super) fn at(&self, key: &str) -> Self {
        let node = self.node.and_then(|node| node.get_ref().get(key));
        self.inner(node, join(&self.key, key))
    }

    /// The place of an element of this list. It moves up when others are taken out, but keeps its key.
    pub(super) fn item(&self, index: usize) -> Self {
        let node = self.node.and_then(|node| node.get_ref().get(index));
        let key = node.and_then(|node| self.tree.keys.get(&node.span()).cloned());
        self.inner(node, key.unwrap_or_else(|| format!("{}[{index}]", self.key)))
    }

    /// Where this stands in the text, or what it would stand in.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The full key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    fn inner(&self, node: Option<&'t Node<'i>>, key: String) -> Self {
        let span = node.map_or(self.span(), Spanned::span);
        Self { tree: self.tree, node, span, key }
    }
}

/// The full key of a key in a table.
pub(super) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Takes out the keys of a table that are not to be kept.
pub(super) fn retain_keys<'i>(
    table: &mut DeTable<'i>,
    mut keep: impl FnMut(&Spanned<DeString<'i>>, &mut Node<'i>) -> bool,
) {
    for (name, mut node) in std::mem::take(table) {
        if keep(&name, &mut node) {
            table.insert(name, node);
        }
    }
}

/// Takes out the elements of a list that are not to be kept.
pub(super) fn retain_elements<'i>(
    list: &mut DeArray<'i>,
    mut keep: impl FnMut(usize, &mut Node<'i>) -> bool,
) {
    for (index, mut node) in std::mem::replace(list, DeArray::new()).into_iter().enumerate() {
        if keep(index, &mut node) {
            list.push(node);
        }
    }
}

/// Notes the keys of a value and of all in it. A table inside a list can stand at the place of the list and
/// is noted after it.
fn name(key: &str, node: &Node<'_>, keys: &mut HashMap<Range<usize>, String>) {
    keys.insert(node.span(), key.to_owned());
    if let DeValue::Table(table) = node.get_ref() {
        table.iter().for_each(|(inner, node)| name(&join(key, inner.get_ref()), node, keys));
    }
    if let DeValue::Array(list) = node.get_ref() {
        list.iter().enumerate().for_each(|(index, node)| name(&format!("{key}[{index}]"), node, keys));
    }
}

fn find<'t, 'i>(node: &'t Node<'i>, span: &Range<usize>) -> Option<&'t Node<'i>> {
    let mut inner = None;
    if let DeValue::Table(table) = node.get_ref() {
        inner = table.values().find_map(|node| find(node, span));
    }
    if let DeValue::Array(list) = node.get_ref() {
        inner = list.iter().find_map(|node| find(node, span));
    }
    inner.or_else(|| (node.span() == *span).then_some(node))
}

fn take_out(node: &mut Node<'_>, span: &Range<usize>) -> bool {
    let mut is_out = false;
    let mut keep = |node: &mut Node<'_>| {
        if is_out || take_out(node, span) {
            is_out = true;
            return true;
        }
        is_out = node.span() == *span;
        !is_out
    };
    if let DeValue::Table(table) = node.get_mut() {
        retain_keys(table, |_, node| keep(node));
    } else if let DeValue::Array(list) = node.get_mut() {
        retain_elements(list, |_, node| keep(node));
    }
    is_out
}
