//! Functions, code, modules, generators, frames and tracebacks.

use super::{Memory, Origin, Value};
use crate::cpython::kind::Kind;
use crate::cpython::layout::FrameVariant;
use crate::cpython::types::Type;
use crate::snapshot::Addr;

/// A module's `__name__` and `__file__` are among the first entries of its dict.
const MODULE_ENTRIES: usize = 64;

impl Memory<'_> {
    pub(super) fn code_value(&self, addr: Addr, ty: &Type, kind: Kind) -> Option<Value> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let field = |name: &str| self.field(addr, ty, name);
        let text = |name: &str| field(name).and_then(|a| self.short_text(a));
        Some(match kind {
            Kind::Module => {
                let dict = r.pointer(addr + s.module.md_dict).filter(|d| !d.is_null());
                let entry = |name: &str| self.short_text(self.lookup(dict?, name, MODULE_ENTRIES)?);
                Value::Module { name: entry("__name__").or_else(|| text("md_name")), file: entry("__file__") }
            }
            Kind::Function => {
                let code = field("__code__")?;
                let mut origin = self.origin(code);
                origin.name = text("__qualname__").unwrap_or(origin.name);
                Value::Function { origin, module: text("__module__"), code }
            }
            Kind::Method => Value::Method { function: field("__func__")?, receiver: field("__self__")? },
            Kind::Builtin => {
                const MAX_C_NAME: usize = 500;
                let method = r.pointer(addr + s.cfunction.m_ml)?;
                let name = r.c_string(r.pointer(method + s.method_def.ml_name)?, MAX_C_NAME)?;
                Value::Builtin { name: String::from_utf8_lossy(name).into_owned(), receiver: field("__self__") }
            }
            Kind::Descriptor => Value::Descriptor { name: text("__name__")?, owner: field("__objclass__") },
            Kind::Code => Value::Code(self.origin(addr)),
            Kind::Frame => {
                let code = match self.layout.variants.frame {
                    FrameVariant::Object => r.pointer(addr + s.frame_object.f_code?)?,
                    FrameVariant::Embedded => self.frame_code(r.pointer(addr + s.frame_object.f_frame?)?)?,
                };
                let origin = Origin { line: self.frame_object_line(addr), ..self.origin(code) };
                Value::Frame { origin, code }
            }
            Kind::Traceback => {
                let t = &s.traceback;
                let frame = field("tb_frame")?;
                // worked out only when asked for, from 3.11 on
                let line = match r.i32(addr + t.tb_lineno)? {
                    -1 => {
                        let inner = r.pointer(frame + s.frame_object.f_frame?)?;
                        self.line_at(self.frame_code(inner)?, i64::from(r.i32(addr + t.tb_lasti)?))
                    }
                    line => u32::try_from(line).ok(),
                };
                Value::Traceback { line, frame, next: field("tb_next") }
            }
            _ => {
                let code = self.generator_code(addr)?;
                let state = self.generator_state(addr)?;
                let origin = self.origin(code);
                Value::Generator {
                    name: text("__name__").unwrap_or_default(),
                    qualname: text("__qualname__").unwrap_or(origin.name),
                    code,
                    state,
                    line: self.generator_line(addr),
                    file: origin.file,
                    awaits: self.awaited(addr),
                }
            }
        })
    }

    /// Where a code object was written.
    pub fn origin(&self, code: Addr) -> Origin {
        let c = &self.layout.structs.code;
        let text = |offset: u64| self.reader.pointer(code + offset).and_then(|a| self.short_text(a));
        Origin {
            name: text(c.co_qualname.unwrap_or(c.co_name)).unwrap_or_default(),
            file: text(c.co_filename).unwrap_or_default(),
            line: self.first_line(code),
        }
    }
}
