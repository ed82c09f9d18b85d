//! V8's heap snapshot, which Chrome's DevTools open: one JSON object with numbers in rows, and the texts they name.
//!
//! Fields are those that DevTools read (`meta` in the file says which). Addresses do not fit: DevTools keep every
//! number of a node in 32 bits. Texts are kept until the end, everything else goes out as it comes.

use serde::Serialize;
use std::collections::HashMap;
use std::io::{self, Write};

/// The types of nodes that are used, by their numbers in `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeType {
    /// A str; its name is its value.
    String = 2,
    /// An object; its name is its type.
    Object = 3,
    /// A code object.
    Code = 4,
    /// A function.
    Closure = 5,
    /// A number.
    Number = 7,
    /// No object.
    Synthetic = 9,
}

/// An edge's type and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphEdge<'t> {
    /// By number.
    Element(u64),
    /// By name.
    Property(&'t str),
    /// By name, and keeps nothing alive.
    Weak(&'t str),
}

const NODE_FIELDS: u64 = 7;

#[derive(Serialize)]
struct Meta {
    node_fields: [&'static str; NODE_FIELDS as usize],
    node_types: (&'static [&'static str], [&'static str; 6]),
    edge_fields: [&'static str; 3],
    edge_types: (&'static [&'static str], [&'static str; 2]),
    trace_function_info_fields: [&'static str; 6],
    trace_node_fields: [&'static str; 5],
    sample_fields: [&'static str; 2],
    location_fields: [&'static str; 4],
}

const NODE_TYPES: &[&str] = &[
    "hidden",
    "array",
    "string",
    "object",
    "code",
    "closure",
    "regexp",
    "number",
    "native",
    "synthetic",
    "concatenated string",
    "sliced string",
    "symbol",
    "bigint",
    "object shape",
];
const EDGE_TYPES: &[&str] = &["context", "element", "property", "internal", "hidden", "shortcut", "weak"];

/// A writer: first all nodes, then all edges in the order of the nodes they begin at.
pub struct HeapSnapshot<W> {
    out: W,
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
    written: u64,
}

impl<W: Write> HeapSnapshot<W> {
    /// Begins a file of so many nodes and edges.
    pub fn begin(mut out: W, nodes: u64, edges: u64) -> io::Result<HeapSnapshot<W>> {
        let meta = Meta {
            node_fields: ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"],
            node_types: (NODE_TYPES, ["string", "number", "number", "number", "number", "number"]),
            edge_fields: ["type", "name_or_index", "to_node"],
            edge_types: (EDGE_TYPES, ["string_or_number", "node"]),
            trace_function_info_fields: ["function_id", "name", "script_name", "script_id", "line", "column"],
            trace_node_fields: ["id", "function_info_index", "count", "size", "children"],
            sample_fields: ["timestamp_us", "last_assigned_id"],
            location_fields: ["object_index", "script_id", "line", "column"],
        };
        // a type's own list stands among the others, not beside them
        let mut meta = serde_json::to_value(meta)?;
        for types in ["node_types", "edge_types"] {
            if let Some([list, serde_json::Value::Array(others)]) = meta[types].as_array().map(Vec::as_slice) {
                meta[types] = std::iter::once(list.clone()).chain(others.iter().cloned()).collect();
            }
        }
        write!(out, "{{\"snapshot\":{{\"meta\":{meta},\"node_count\":{nodes},\"edge_count\":{edges},")?;
        write!(out, "\"trace_function_count\":0}},\n\"nodes\":[")?;
        Ok(HeapSnapshot { out, texts: Vec::new(), numbers: HashMap::new(), written: 0 })
    }

    fn text(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len();
        self.numbers.insert(text.to_owned(), number);
        self.texts.push(text.to_owned());
        number
    }

    fn comma(&mut self) -> io::Result<()> {
        self.written += 1;
        if self.written > 1 { self.out.write_all(b",\n") } else { Ok(()) }
    }

    /// The next node.
    pub fn node(&mut self, of: NodeType, name: &str, bytes: u64, edges: u64) -> io::Result<()> {
        self.comma()?;
        let (name, id) = (self.text(name), self.written * 2 - 1);
        let bytes = bytes.min(u64::from(u32::MAX));
        write!(self.out, "{},{name},{id},{bytes},{edges},0,0", of as u32)
    }

    /// Ends the nodes.
    pub fn begin_edges(&mut self) -> io::Result<()> {
        self.written = 0;
        self.out.write_all(b"],\n\"edges\":[")
    }

    /// The next edge, to a node by its number.
    pub fn edge(&mut self, edge: &GraphEdge<'_>, to: u64) -> io::Result<()> {
        self.comma()?;
        let (of, name) = match edge {
            GraphEdge::Element(index) => (1, *index),
            GraphEdge::Property(name) => (2, self.text(name) as u64),
            GraphEdge::Weak(name) => (6, self.text(name) as u64),
        };
        write!(self.out, "{of},{name},{}", to * NODE_FIELDS)
    }

    /// The texts, and the end.
    pub fn end(mut self) -> io::Result<()> {
        self.out.write_all(
            b"],\n\"trace_function_infos\":[],\"trace_tree\":[],\"samples\":[],\"locations\":[],\n\"strings\":[",
        )?;
        for (i, text) in self.texts.iter().enumerate() {
            if i > 0 {
                self.out.write_all(b",\n")?;
            }
            serde_json::to_writer(&mut self.out, text)?;
        }
        self.out.write_all(b"]}\n")?;
        self.out.flush()
    }
}
