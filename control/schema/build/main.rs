//! Writes down the schemas of Kubernetes' own kinds: as text they take a fifth of what the code that makes them takes, and the
//! program need not hold that code.

mod kinds;

use std::fmt::Write;
use std::path::PathBuf;

use schemars::generate::SchemaSettings;

fn main() {
    println!("cargo::rerun-if-changed=build");
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings.transforms.clear();
    });
    let mut generator = settings.into_generator();
    let mut out = String::from("const KINDS: &[(&str, &str, &str, &str)] = &[\n");
    for (group, version, kind, add) in kinds::KINDS {
        let name = add(&mut generator);
        let _ = writeln!(out, "    ({group:?}, {version:?}, {kind:?}, {name:?}),");
    }
    out.push_str("];\nconst DEFINITIONS: &[(&str, &str)] = &[\n");
    let mut definitions: Vec<_> = generator.take_definitions(false).into_iter().collect();
    definitions.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, schema) in definitions {
        let _ = writeln!(out, "    ({name:?}, {:?}),", schema.to_string());
    }
    out.push_str("];\n");
    let dir = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let file = dir.expect("cargo sets it").join("definitions.rs");
    std::fs::write(file, out).expect("the build's own folder can be written");
}
