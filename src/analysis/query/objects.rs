//! A query over the index: which objects it means.
//!
//! What depends on the type alone is decided once a type, so that of most objects nothing is read; of the others only
//! what is asked for. The fields' meaning is in `docs/cli.md`.

use super::quick::Quick;
use super::{Cell, Expr, Field, OBJECT_FIELDS, QueryError, parse};
use crate::analysis::describe::{DEFAULT_WIDTH, describe};
use crate::cpython::layout::{DecoderName, SizeRule};
use crate::cpython::types::{Type, TypeId};
use crate::cpython::{Count, Kind, Limits, Memory, Value};
use crate::heap::dominators::{Dominators, Node};
use crate::heap::{Edges, Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// Characters of a text, or digits of a number, that are compared.
const MAX_CHARS: usize = 1 << 16;

/// Objects that are looked at between two looks at the cancellation.
const BATCH: usize = 1 << 12;

/// A field of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Type,
    Module,
    Size,
    Retained,
    Native,
    RefCount,
    Len,
    Value,
    Attribute,
    Referrers,
    Referents,
    Address,
}

/// In the order of [`OBJECT_FIELDS`].
const COLUMNS: [Column; OBJECT_FIELDS.len()] = [
    Column::Type,
    Column::Module,
    Column::Size,
    Column::Retained,
    Column::Native,
    Column::RefCount,
    Column::Len,
    Column::Value,
    Column::Attribute,
    Column::Referrers,
    Column::Referents,
    Column::Address,
];

/// A query over objects, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    expr: Expr,
}

/// What an object's type leaves of a query.
#[derive(Debug, Clone, PartialEq)]
enum Rest {
    All,
    Nothing,
    Some(Expr),
}

/// What is to be asked of an object of a type.
enum Ask {
    /// Nothing: all are meant.
    All,
    /// Nothing: none is.
    Nothing,
    /// Whole numbers alone.
    Numbers(Quick<Column>),
    /// Anything.
    Cells(Expr),
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Query, QueryError> {
        Ok(Query { expr: parse(text, OBJECT_FIELDS)? })
    }

    /// Whether it asks for references, which take a while to build.
    pub fn needs_edges(&self) -> bool {
        self.asks_for(|c| matches!(c, Column::Referrers | Column::Referents))
    }

    /// Whether it asks for retained sizes.
    pub fn needs_retained(&self) -> bool {
        self.asks_for(|c| c == Column::Retained)
    }

    fn asks_for(&self, wanted: impl Fn(Column) -> bool) -> bool {
        self.expr.names(&|field| COLUMNS.get(field.index).is_some_and(|c| wanted(*c)))
    }

    /// The objects that it means: of all (`among` is `None`), in address order, or of those, in their order. Builds the
    /// references and the dominators when it asks for them.
    pub fn select(
        &self,
        heap: &Heap,
        among: Option<&[ObjectId]>,
        progress: &Progress,
    ) -> Result<Vec<ObjectId>, Cancelled> {
        let edges = if self.needs_edges() { Some(heap.edges(progress)?) } else { None };
        let dominators = if self.needs_retained() { Some(heap.dominators(progress)?) } else { None };
        let asks = self.by_type(heap);
        let index = heap.objects();
        let is_meant = |memory: &Memory<'_>, id: ObjectId, addr: Addr, ty: TypeId, size: Option<u64>| {
            let row = || Row { heap, memory, edges, dominators, id, addr, ty: heap.types().get(ty), size };
            match asks.get(ty.0 as usize) {
                Some(Ask::All) => true,
                Some(Ask::Numbers(quick)) => {
                    let row = row();
                    quick.holds(&|column| row.number(column))
                }
                Some(Ask::Cells(expr)) => {
                    let row = row();
                    expr.matches(&|field| row.cell(field))
                }
                _ => false,
            }
        };
        let wanted: Vec<bool> = asks.iter().map(|ask| !matches!(ask, Ask::Nothing)).collect();
        let wanted = |ty: TypeId| wanted.get(ty.0 as usize).is_some_and(|wanted| *wanted);
        let parts: Result<Vec<Vec<ObjectId>>, Cancelled> = match among {
            Some(ids) => ids
                .par_chunks(BATCH)
                .map(|ids| {
                    progress.check()?;
                    let memory = heap.memory();
                    let meant = |id: &ObjectId| {
                        let size = index.shallow(*id);
                        index.type_of(*id).is_some_and(|ty| is_meant(&memory, *id, index.address(*id), ty, size))
                    };
                    Ok(ids.iter().copied().filter(meant).collect())
                })
                .collect(),
            None => (0..index.window_count())
                .into_par_iter()
                .map_init(
                    || heap.memory(),
                    |memory, window| {
                        progress.check()?;
                        let mut meant = Vec::new();
                        // from within: an iterator that is asked for one after the other takes half as long again
                        index.window_where(window, &wanted).for_each(|(id, addr, ty, size)| {
                            if is_meant(memory, id, addr, ty, size.get()) {
                                meant.push(id);
                            }
                        });
                        Ok(meant)
                    },
                )
                .collect(),
        };
        Ok(parts?.concat())
    }

    /// Decides what depends on the type alone.
    fn by_type(&self, heap: &Heap) -> Vec<Ask> {
        let memory = heap.memory();
        let of = |ty: &Type| match fold(&self.expr, heap, &memory, ty) {
            Rest::All => Ask::All,
            Rest::Nothing => Ask::Nothing,
            Rest::Some(expr) => Quick::of(&expr, &whole_number).map_or(Ask::Cells(expr), Ask::Numbers),
        };
        heap.types().iter().map(|(_, ty)| of(ty)).collect()
    }
}

/// The column, where it is a whole number or missing.
fn whole_number(index: usize) -> Option<Column> {
    let number = |c: &Column| !matches!(c, Column::Type | Column::Module | Column::Value | Column::Attribute);
    COLUMNS.get(index).copied().filter(number)
}

/// What is left of a query when the type is known.
fn fold(expr: &Expr, heap: &Heap, memory: &Memory<'_>, ty: &Type) -> Rest {
    let decided = |is: bool| if is { Rest::All } else { Rest::Nothing };
    let both = |a: &Expr, b: &Expr| (fold(a, heap, memory, ty), fold(b, heap, memory, ty));
    match expr {
        Expr::And(a, b) => match both(a, b) {
            (Rest::Nothing, _) | (_, Rest::Nothing) => Rest::Nothing,
            (Rest::All, rest) | (rest, Rest::All) => rest,
            (Rest::Some(a), Rest::Some(b)) => Rest::Some(Expr::And(Box::new(a), Box::new(b))),
        },
        Expr::Or(a, b) => match both(a, b) {
            (Rest::All, _) | (_, Rest::All) => Rest::All,
            (Rest::Nothing, rest) | (rest, Rest::Nothing) => rest,
            (Rest::Some(a), Rest::Some(b)) => Rest::Some(Expr::Or(Box::new(a), Box::new(b))),
        },
        Expr::Not(a) => match fold(a, heap, memory, ty) {
            Rest::All => Rest::Nothing,
            Rest::Nothing => Rest::All,
            Rest::Some(rest) => Rest::Some(Expr::Not(Box::new(rest))),
        },
        Expr::Has(field) => match constant(field, heap, memory, ty) {
            Some(cell) => decided(cell != Cell::Missing),
            None => Rest::Some(expr.clone()),
        },
        Expr::Compare(field, op, literal) => match constant(field, heap, memory, ty) {
            Some(cell) => decided(cell.compares(*op, literal)),
            None => Rest::Some(Expr::Compare(field.clone(), *op, literal.clone())),
        },
    }
}

/// The field, where all objects of a type have the same.
fn constant<'h>(field: &Field, heap: &'h Heap, memory: &Memory<'_>, ty: &'h Type) -> Option<Cell<'h>> {
    match COLUMNS.get(field.index)? {
        Column::Type => Some(Cell::Text(ty.name.as_str().into())),
        Column::Module => match heap.types().kind(ty, memory.layout) {
            Kind::Module | Kind::Function | Kind::Type => None,
            _ => Some(Cell::Text(module_of(heap, memory, ty).into())),
        },
        Column::Size => {
            let same = ty.size_rule == SizeRule::Generic && ty.itemsize == 0 && !ty.is_metatype();
            same.then(|| Cell::Int((ty.basicsize + ty.head).into()))
        }
        // most objects of most heaps have none, and to look for it takes longer than all else
        Column::Len => match ty.decoder {
            DecoderName::Tuple | DecoderName::Structseq => ty.items.map(|n| Cell::Int(n.into())),
            _ => (!heap.types().kind(ty, memory.layout).has_len()).then_some(Cell::Missing),
        },
        _ => None,
    }
}

/// `__module__` of a class.
fn module_of(heap: &Heap, memory: &Memory<'_>, ty: &Type) -> String {
    let dict = memory.reader.pointer(ty.address + memory.layout.structs.type_object.tp_dict);
    let own = || dict.filter(|d| ty.is_heap_type() && !d.is_null()).and_then(|d| memory.dict_get(d, "__module__"));
    let is_str = |at: &Addr| {
        let of = memory.type_of(*at).and_then(|t| heap.types().id_of(t));
        of.is_some_and(|t| heap.types().get(t).decoder == DecoderName::Str)
    };
    match own().filter(is_str).and_then(|name| memory.text(name, MAX_CHARS)) {
        Some((name, _)) => name,
        None => ty.name.rsplit_once('.').map_or("builtins", |(module, _)| module).to_owned(),
    }
}

/// One object.
struct Row<'r, 's> {
    heap: &'r Heap,
    memory: &'r Memory<'s>,
    edges: Option<&'r Edges>,
    dominators: Option<&'r Dominators>,
    id: ObjectId,
    addr: Addr,
    ty: &'r Type,
    /// Its shallow size, where it is known.
    size: Option<u64>,
}

impl Row<'_, '_> {
    fn cell(&self, field: &Field) -> Cell<'static> {
        let Some(column) = COLUMNS.get(field.index).copied() else { return Cell::Missing };
        match column {
            Column::Type => Cell::Text(self.ty.name.clone().into()),
            Column::Module => self.module().map_or(Cell::Missing, |name| Cell::Text(name.into())),
            Column::Value => self.value(self.addr, self.ty),
            Column::Attribute => self.attribute(&field.path).unwrap_or(Cell::Missing),
            column => self.number(column).map_or(Cell::Missing, |n| Cell::Int(n.into())),
        }
    }

    /// A column of whole numbers; `None` where the object has no such thing.
    #[inline]
    fn number(&self, column: Column) -> Option<u64> {
        match column {
            Column::Size => self.size.or_else(|| self.memory.shallow_size(self.addr, self.ty)),
            Column::Retained => self.dominators.map(|tree| tree.retained(Node::Object(self.id))),
            Column::Native => self.memory.native_bytes(self.addr, self.ty, self.heap.types()),
            Column::RefCount => match self.memory.count(self.addr) {
                Some(Count::Live(n)) => Some(n.into()),
                _ => None,
            },
            Column::Len => self.len(),
            Column::Referrers => self.edges.map(|e| e.referrers(self.id).len() as u64),
            Column::Referents => self.edges.map(|e| e.referents(self.heap, self.id).len() as u64),
            Column::Address => Some(self.addr.0),
            Column::Type | Column::Module | Column::Value | Column::Attribute => None,
        }
    }

    fn len(&self) -> Option<u64> {
        let items = || u64::try_from(self.memory.ob_size(self.addr)?).ok();
        match self.ty.decoder {
            DecoderName::Str => self.memory.str_at(self.addr).map(|s| s.len),
            DecoderName::Bytes | DecoderName::List | DecoderName::Bytearray | DecoderName::Deque => items(),
            DecoderName::Tuple | DecoderName::Structseq => self.ty.items.or_else(items),
            DecoderName::Dict | DecoderName::Defaultdict | DecoderName::Odict => {
                self.memory.reader.u64(self.addr + self.memory.layout.structs.dict.ma_used)
            }
            DecoderName::Set => self.memory.reader.u64(self.addr + self.memory.layout.structs.set.used),
            DecoderName::Int | DecoderName::Bool | DecoderName::Float | DecoderName::Complex => None,
            _ => match self.memory.value(self.addr, self.ty, self.heap.types(), Limits { chars: 0, items: 0 }) {
                Value::Str(text) => Some(text.len),
                Value::Bytes(data) => Some(data.len),
                Value::Sequence(part) => Some(part.len),
                Value::Mapping(part) => Some(part.len),
                _ => None,
            },
        }
    }

    /// Numbers and texts as they are, all others as they are shown in a line.
    fn value(&self, addr: Addr, ty: &Type) -> Cell<'static> {
        let types = self.heap.types();
        match self.memory.value(addr, ty, types, Limits { chars: MAX_CHARS, items: 0 }) {
            Value::None => Cell::None,
            Value::Bool(flag) => Cell::Bool(flag),
            Value::Int(digits) => match digits.parse() {
                Ok(n) => Cell::Int(n),
                Err(_) => Cell::Float(digits.parse().unwrap_or(f64::NAN)),
            },
            Value::BigInt { negative, .. } => Cell::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
            Value::Float(n) => Cell::Float(n),
            Value::Str(text) => Cell::Text(text.escaped().into()),
            Value::Bytes(data) => Cell::Text(data.bytes.iter().map(|b| char::from(*b)).collect::<String>().into()),
            _ => Cell::Text(describe(self.memory, types, addr, ty, DEFAULT_WIDTH).into()),
        }
    }

    fn attribute(&self, path: &[String]) -> Option<Cell<'static>> {
        let types = self.heap.types();
        let (mut addr, mut ty) = (self.addr, self.ty);
        for name in path {
            addr = self.memory.attribute(addr, ty, name)?;
            ty = types.get(types.id_of(self.memory.type_of(addr)?)?);
        }
        Some(self.value(addr, ty))
    }

    /// A module's name, the module that a class or function was made in, the module of any other object's class.
    fn module(&self) -> Option<String> {
        let s = &self.memory.layout.structs;
        let r = &self.memory.reader;
        let name = |at: Addr| self.memory.text(at, MAX_CHARS).map(|(name, _)| name);
        match self.heap.types().kind(self.ty, self.memory.layout) {
            Kind::Module => {
                let of = r.pointer(self.addr + s.module.md_name).filter(|n| self.is_str(*n));
                let dict = || self.memory.dict_get(r.pointer(self.addr + s.module.md_dict)?, "__name__");
                name(of.or_else(dict).filter(|n| self.is_str(*n))?)
            }
            Kind::Function => name(r.pointer(self.addr + s.function.func_module?).filter(|n| self.is_str(*n))?),
            Kind::Type => {
                let class = self.heap.types().get(self.heap.types().id_of(self.addr)?);
                Some(module_of(self.heap, self.memory, class))
            }
            _ => Some(module_of(self.heap, self.memory, self.ty)),
        }
    }

    fn is_str(&self, at: Addr) -> bool {
        let of = self.memory.type_of(at).and_then(|t| self.heap.types().id_of(t));
        of.is_some_and(|t| self.heap.types().get(t).decoder == DecoderName::Str)
    }
}

/// A field of one object. References and dominators are those that are built.
pub(in crate::analysis) fn of_object(heap: &Heap, memory: &Memory<'_>, id: ObjectId, field: &Field) -> Cell<'static> {
    let Some((_, ty)) = heap.type_of(id) else { return Cell::Missing };
    let (edges, dominators) = (heap.built_edges(), heap.built_dominators());
    Row { heap, memory, edges, dominators, id, addr: heap.objects().address(id), ty, size: None }.cell(field)
}

/// The value of an object, as the field has it.
pub(in crate::analysis) fn value_of(heap: &Heap, memory: &Memory<'_>, id: ObjectId) -> Cell<'static> {
    let Some((_, ty)) = heap.type_of(id) else { return Cell::Missing };
    let addr = heap.objects().address(id);
    Row { heap, memory, edges: None, dominators: None, id, addr, ty, size: None }.value(addr, ty)
}

/// Whether one object is meant, with nothing decided beforehand: what the selection is compared with. References and
/// dominators are those that are built.
pub fn is_meant(heap: &Heap, query: &Query, id: ObjectId) -> bool {
    let memory = heap.memory();
    heap.type_of(id).is_some() && query.expr.matches(&|field| of_object(heap, &memory, id, field))
}
