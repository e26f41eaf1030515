//! One batch's columns by name, as plain vectors. What a column lacks is null there and not a number, or 0, here.

use super::CompareError;
use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};

/// Flags of `calls.flags` for which a call is trusted less.
const DOUBTFUL: [&str; 5] = [TRUNCATED, "low_asr_confidence", "no_speech", "speakers_estimated", "clipped"];
/// The flag of a recording that breaks off.
const TRUNCATED: &str = "truncated";

/// One batch's columns.
pub(super) struct Columns<'a> {
    pub(super) batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub(super) fn array(&self, name: &'static str) -> Result<&'a dyn Array, CompareError> {
        self.batch.column_by_name(name).map(|a| &**a).ok_or(CompareError::Column(name))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Vec<Option<&'a str>>, CompareError> {
        texts(self.array(name)?).ok_or(CompareError::Column(name))
    }

    pub(super) fn float(&self, name: &'static str) -> Result<Vec<f64>, CompareError> {
        let array = self.array(name)?.as_primitive_opt::<Float64Type>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
    }

    pub(super) fn long(&self, name: &'static str) -> Result<Vec<Option<i64>>, CompareError> {
        let array = self.array(name)?.as_primitive_opt::<Int64Type>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().collect())
    }

    pub(super) fn int(&self, name: &'static str) -> Result<Vec<i32>, CompareError> {
        let array = self.array(name)?.as_primitive_opt::<Int32Type>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(Option::unwrap_or_default).collect())
    }

    /// Milliseconds since 1970; the smallest number where not known.
    pub(super) fn instant(&self, name: &'static str) -> Result<Vec<i64>, CompareError> {
        let array = self.array(name)?;
        let array = array.as_primitive_opt::<TimestampMillisecondType>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(|v| v.unwrap_or(i64::MIN)).collect())
    }

    /// Of each call: whether the recording broke off, and whether a flag says to trust it less.
    pub(super) fn flags(&self) -> Result<Vec<(bool, bool)>, CompareError> {
        flags(self.array("flags")?).ok_or(CompareError::Column("flags"))
    }

    pub(super) fn segments(&self) -> Result<Vec<Segments<'a>>, CompareError> {
        segments(self.array("handler_segments")?).ok_or(CompareError::Column("handler_segments"))
    }
}

fn texts(array: &dyn Array) -> Option<Vec<Option<&str>>> {
    if let Some(array) = array.as_string_opt::<i32>() {
        return Some(array.iter().collect());
    }
    array.as_string_view_opt().map(|array| array.iter().collect())
}

fn flags(array: &dyn Array) -> Option<Vec<(bool, bool)>> {
    let lists = array.as_list_opt::<i32>()?;
    let names = texts(lists.values())?;
    let offsets = lists.value_offsets();
    let of_call = |call: usize| {
        let own = &names[offsets[call] as usize..offsets[call + 1] as usize];
        let has = |wanted: &str| own.contains(&Some(wanted));
        (has(TRUNCATED), DOUBTFUL.into_iter().any(has))
    };
    Some((0..lists.len()).map(of_call).collect())
}

/// What the handler segments of one call say.
#[derive(Default, Clone)]
pub(super) struct Segments<'a> {
    /// Whether the first handler that is no menu is a person; `None` where there is none.
    pub(super) first: Option<bool>,
    pub(super) first_human_agent: Option<&'a str>,
    pub(super) human_ms: i64,
    pub(super) any_human: bool,
    /// Whether there are segments.
    pub(super) known: bool,
}

fn segments(array: &dyn Array) -> Option<Vec<Segments<'_>>> {
    let lists = array.as_list_opt::<i32>()?;
    let items: &StructArray = lists.values().as_struct_opt()?;
    let handlers = texts(items.column_by_name("handler")?)?;
    let agents = texts(items.column_by_name("agent_id")?)?;
    let starts = items.column_by_name("start_ms")?.as_primitive_opt::<Int64Type>()?;
    let ends = items.column_by_name("end_ms")?.as_primitive_opt::<Int64Type>()?;
    let offsets = lists.value_offsets();
    let of_call = |call: usize| {
        let mut found = Segments::default();
        for i in offsets[call] as usize..offsets[call + 1] as usize {
            found.known = true;
            let human = match handlers[i] {
                Some("ai") => false,
                Some("human") => true,
                _ => continue,
            };
            found.first = found.first.or(Some(human));
            if human {
                found.any_human = true;
                found.human_ms += (ends.value(i) - starts.value(i)).max(0);
                found.first_human_agent = found.first_human_agent.or(agents[i]);
            }
        }
        found
    };
    Some((0..lists.len()).map(of_call).collect())
}
