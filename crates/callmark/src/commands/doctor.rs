//! `callmark doctor`: is everything there that a run needs, and is a dataset what its commits say?

use crate::cli::DoctorArguments;
use crate::exit::Exit;
use callmark_models::ModelStore;
use callmark_pipeline::EngineChoice;
use callmark_store::check;
use std::io::Write;
use std::path::Path;

/// Free space below which a run is likely to stop, in bytes.
const LITTLE_SPACE_BYTES: u64 = 2 << 30;

/// One thing looked at.
struct Finding {
    good: bool,
    subject: &'static str,
    what: String,
}

pub(crate) fn doctor(arguments: &DoctorArguments) -> anyhow::Result<Exit> {
    let stream = arguments.kafka.as_deref().map(callmark_pipeline::KafkaPipeline::from_file).transpose()?;
    let mut findings = vec![device()];
    match &stream {
        Some(stream) if stream.hearing.engine == EngineChoice::Scripted => {}
        Some(stream) => findings.extend([model(&stream.hearing.model), engine(&stream.hearing.model)]),
        None => findings.extend([model(&arguments.model), engine(&arguments.model)]),
    }
    findings.push(space(arguments.dataset.as_deref().unwrap_or(Path::new("."))));
    if let Some(dataset) = &arguments.dataset {
        findings.extend(consistency(dataset));
    }
    if let Some(stream) = &stream {
        let found = callmark_pipeline::examine_kafka(stream);
        findings.extend(found.into_iter().map(|f| Finding { good: f.good, subject: "kafka", what: f.what }));
    }
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        let mark = if finding.good { "ok  " } else { "BAD " };
        writeln!(out, "{mark} {:8} {}", finding.subject, finding.what)?;
    }
    Ok(if findings.iter().all(|f| f.good) { Exit::Done } else { Exit::SomeFailed })
}

fn model(name: &str) -> Finding {
    let resolved = ModelStore::default_dir().and_then(ModelStore::open).and_then(|store| store.resolve(name));
    match resolved {
        Ok(model) => Finding {
            good: true,
            subject: "model",
            what: format!("{} in {}", model.name, model.path.display()),
        },
        Err(e) => Finding { good: false, subject: "model", what: e.to_string() },
    }
}

/// CTranslate2 is no need: without it the work is done, only slower.
fn engine(name: &str) -> Finding {
    let found =
        ModelStore::default_dir().and_then(ModelStore::open).and_then(|store| store.resolve_ct2(name));
    let what = match found {
        _ if !cfg!(feature = "ct2") => "whisper.cpp; this build does not run CTranslate2".to_owned(),
        Ok(Some(model)) => format!("CTranslate2 ({}) and whisper.cpp", model.library.display()),
        Ok(None) => format!("whisper.cpp; there is no form of `{name}` for CTranslate2 on this machine"),
        Err(e) => format!("whisper.cpp; CTranslate2 is not ready: {e}"),
    };
    Finding { good: true, subject: "engine", what }
}

fn device() -> Finding {
    let built_for: Vec<&str> = [
        ("cuda", cfg!(feature = "cuda")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
        ("hipblas", cfg!(feature = "hipblas")),
        ("coreml", cfg!(feature = "coreml")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let what = if built_for.is_empty() {
        format!(
            "{cores} cores; this build has no GPU support (build with --features cuda, vulkan, metal or hipblas for one)"
        )
    } else {
        format!(
            "{cores} cores; built for {}; `callmark score` says which device it picked",
            built_for.join(", ")
        )
    };
    Finding { good: true, subject: "device", what }
}

fn space(folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(existing) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let what = format!("{:.1} GiB free at {}", free as f64 / (1u64 << 30) as f64, existing.display());
            let good = free >= LITTLE_SPACE_BYTES;
            let what =
                if good { what } else { format!("{what}: make room, a run stops when the disk is full") };
            Finding { good, subject: "disk", what }
        }
        Err(e) => Finding {
            good: false,
            subject: "disk",
            what: format!("cannot look at {}: {e}", existing.display()),
        },
    }
}

fn consistency(dataset: &Path) -> Vec<Finding> {
    let finding = |good, what| Finding { good, subject: "dataset", what };
    match check(dataset) {
        Err(e) => vec![finding(false, e.to_string())],
        Ok(report) => {
            let erased =
                if report.erased > 0 { format!("; {} were erased", report.erased) } else { String::new() };
            let writer = if report.writer_active { "; a run is writing to it now" } else { "" };
            let summary = format!(
                "{} calls in {} commits and {} files{erased}{writer}",
                report.calls, report.commits, report.files
            );
            let mut findings = vec![finding(report.is_consistent(), summary)];
            findings.extend(report.problems.iter().map(|problem| finding(false, problem.to_string())));
            findings
        }
    }
}
