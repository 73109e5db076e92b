//! Evaluation of paths.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Error, Operand, Operator, Step};

/// How many values one evaluation may touch.
const MAX_TOUCHED: usize = 100_000;

/// Everything that `steps` lead to from `root`.
pub(super) fn find<'a>(steps: &[Step], root: &'a Value) -> Result<Vec<&'a Value>, Error> {
    Walk { root, touched: 0 }.steps(steps, root)
}

struct Walk<'a> {
    root: &'a Value,
    touched: usize,
}

impl<'a> Walk<'a> {
    fn steps<'v>(&mut self, steps: &[Step], from: &'v Value) -> Result<Vec<&'v Value>, Error> {
        let mut values = vec![from];
        for step in steps {
            let mut next = Vec::new();
            for value in values {
                self.step(step, value, &mut next)?;
            }
            values = next;
        }
        Ok(values)
    }

    fn step<'v>(
        &mut self,
        step: &Step,
        value: &'v Value,
        out: &mut Vec<&'v Value>,
    ) -> Result<(), Error> {
        let before = out.len();
        match step {
            Step::Field(name) => out.extend(value.get(name)),
            Step::Wildcard => match value {
                Value::Array(items) => out.extend(items),
                Value::Object(object) => out.extend(object.values()),
                _ => {}
            },
            Step::Descend => self.descend(value, out)?,
            Step::Index(index) => out.extend(
                value
                    .as_array()
                    .and_then(|items| items.get(position(*index, items.len())?)),
            ),
            Step::Slice(start, end, step) => {
                if let Some(items) = value.as_array() {
                    let bound = |at: i64| {
                        position(at, items.len()).unwrap_or(if at < 0 { 0 } else { items.len() })
                    };
                    let (start, end) = (start.map_or(0, bound), end.map_or(items.len(), bound));
                    let step = usize::try_from(*step).unwrap_or(usize::MAX);
                    out.extend(items.iter().take(end).skip(start).step_by(step));
                }
            }
            Step::Union(members) => {
                for member in members {
                    self.step(member, value, out)?;
                }
            }
            Step::Filter(left, comparison) => {
                for item in value.as_array().into_iter().flatten() {
                    if self.holds(left, comparison.as_ref(), item)? {
                        out.push(item);
                    }
                }
            }
        }
        self.count(out.len() - before + 1)
    }

    fn count(&mut self, touched: usize) -> Result<(), Error> {
        self.touched += touched;
        if self.touched > MAX_TOUCHED {
            return Err(Error(format!(
                "the path touches more than {MAX_TOUCHED} values"
            )));
        }
        Ok(())
    }

    fn descend<'v>(&mut self, value: &'v Value, out: &mut Vec<&'v Value>) -> Result<(), Error> {
        // A stack of our own: the depth of a value is not ours to trust.
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            self.count(1)?;
            out.push(value);
            match value {
                Value::Array(items) => stack.extend(items.iter().rev()),
                Value::Object(object) => stack.extend(object.values().rev()),
                _ => {}
            }
        }
        Ok(())
    }

    fn holds(
        &mut self,
        left: &Operand,
        comparison: Option<&(Operator, Operand)>,
        item: &Value,
    ) -> Result<bool, Error> {
        let left = self.operand(left, item)?;
        let Some((operator, right)) = comparison else {
            return Ok(left.is_some());
        };
        let right = self.operand(right, item)?;
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(false);
        };
        let order = compare(left, right);
        Ok(match (operator, order) {
            (Operator::Equal, order) => order == Some(Ordering::Equal),
            (Operator::NotEqual, order) => order != Some(Ordering::Equal),
            (_, None) => {
                return Err(Error(
                    "a filter compares values that have no order".to_owned(),
                ));
            }
            (Operator::Less, Some(order)) => order.is_lt(),
            (Operator::LessOrEqual, Some(order)) => order.is_le(),
            (Operator::Greater, Some(order)) => order.is_gt(),
            (Operator::GreaterOrEqual, Some(order)) => order.is_ge(),
        })
    }

    fn operand<'v>(
        &mut self,
        operand: &'v Operand,
        item: &'v Value,
    ) -> Result<Option<&'v Value>, Error>
    where
        'a: 'v,
    {
        match operand {
            Operand::Literal(value) => Ok(Some(value)),
            Operand::Path { from_root, steps } => {
                let from = if *from_root { self.root } else { item };
                let found = self.steps(steps, from)?;
                if found.len() > 1 {
                    return Err(Error(
                        "a filter compares a path that gives several values".to_owned(),
                    ));
                }
                Ok(found.first().copied())
            }
        }
    }
}

/// A possibly negative index as a place in a list.
fn position(index: i64, length: usize) -> Option<usize> {
    let at = if index < 0 {
        index.checked_add(i64::try_from(length).ok()?)?
    } else {
        index
    };
    usize::try_from(at).ok().filter(|at| *at < length)
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => (left == right).then_some(Ordering::Equal),
    }
}
