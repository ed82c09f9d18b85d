//! Comparisons of numbers, made ready to be asked of millions of objects.
//!
//! What a query is for most of them: bounds on sizes, counts and lengths. Says the same as [`super::Cell::compares`], which
//! knows all other cases; a comparison that is not one of whole numbers is left to it.

use super::parser::{Expr, Literal, Number, Op};

/// An expression of nothing but such comparisons; `C` is a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Quick<C> {
    Both(Box<Quick<C>>, Box<Quick<C>>),
    Either(Box<Quick<C>>, Box<Quick<C>>),
    Not(Box<Quick<C>>),
    Within(C, Bounds),
}

/// The numbers that a comparison is true for: from the first to the last, or all others. What is missing is in neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    from: u64,
    to: u64,
    others: bool,
}

impl Bounds {
    fn of(op: Op, literal: &Literal) -> Option<Bounds> {
        let Some(Number::Int(n)) = literal.number else { return None };
        let between = |from: i128, to: i128| {
            let (from, to) = (from.max(0), to.min(u64::MAX.into()));
            match (u64::try_from(from), u64::try_from(to)) {
                (Ok(from), Ok(to)) if from <= to => Bounds { from, to, others: false },
                _ => Bounds { from: 1, to: 0, others: false },
            }
        };
        Some(match op {
            Op::Equal => between(n, n),
            Op::NotEqual => Bounds { others: true, ..between(n, n) },
            Op::Less => between(i128::MIN, n.saturating_sub(1)),
            Op::AtMost => between(i128::MIN, n),
            Op::More => between(n.saturating_add(1), i128::MAX),
            Op::AtLeast => between(n, i128::MAX),
            Op::Like | Op::NotLike => return None,
        })
    }
}

impl<C: Copy> Quick<C> {
    /// `column` tells which fields are whole numbers. `None` where something else is asked as well.
    pub(super) fn of(expr: &Expr, column: &impl Fn(usize) -> Option<C>) -> Option<Quick<C>> {
        let of = |expr| Quick::of(expr, column).map(Box::new);
        Some(match expr {
            Expr::And(a, b) => Quick::Both(of(a)?, of(b)?),
            Expr::Or(a, b) => Quick::Either(of(a)?, of(b)?),
            Expr::Not(a) => Quick::Not(of(a)?),
            Expr::Compare(field, op, literal) => Quick::Within(column(field.index)?, Bounds::of(*op, literal)?),
            Expr::Has(_) => return None,
        })
    }

    /// Whether it holds for what `number` says of a row.
    #[inline]
    pub(super) fn holds(&self, number: &impl Fn(C) -> Option<u64>) -> bool {
        match self {
            Quick::Within(column, bounds) => {
                number(*column).is_some_and(|n| (bounds.from <= n && n <= bounds.to) != bounds.others)
            }
            Quick::Both(a, b) => a.holds(number) && b.holds(number),
            Quick::Either(a, b) => a.holds(number) || b.holds(number),
            Quick::Not(a) => !a.holds(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, OBJECT_FIELDS, parse};
    use super::*;
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            any::<u64>().prop_map(|n| n.to_string()),
            (0..4u64).prop_map(|n| n.to_string()),
            (0..4i64).prop_map(|n| (-n).to_string()),
            Just(u64::MAX.to_string()),
            Just(format!("{}0", u64::MAX)),
            (0..4u64).prop_map(|n| format!("{n}kB")),
        ];
        let operator = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
        let field = prop::sample::select(vec!["size", "len", "refcount"]);
        (field, operator, number).prop_map(|(field, operator, number)| format!("{field} {operator} {number}"))
    }

    fn expression() -> impl Strategy<Value = String> {
        bound().prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
                inner.prop_map(|a| format!("not {a}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn says_what_the_plain_way_says(
            text in expression(),
            row in prop::collection::vec(prop::option::of(prop_oneof![any::<u64>(), 0..4u64, Just(u64::MAX)]), 12),
        ) {
            let Ok(expr) = parse(&text, OBJECT_FIELDS) else { return Ok(()) };
            let quick = Quick::of(&expr, &Some);
            prop_assert!(quick.is_some() || text.contains("kB"), "{text} is all of whole numbers");
            if let Some(quick) = quick {
                let plain = expr.matches(&|field| row[field.index].map_or(Cell::Missing, |n| Cell::Int(n.into())));
                prop_assert_eq!(quick.holds(&|column: usize| row[column]), plain, "{}", text);
            }
        }
    }
}
