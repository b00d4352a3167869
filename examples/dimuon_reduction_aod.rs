//! The dimuon reduction over CMS AOD: muon pairs of opposite charge, their mass, as a Parquet file.
//!
//! ```sh
//! cargo run --release -p root-engine --example dimuon_reduction_aod -- masses.parquet AOD.root[:TREE] [MORE.root…]
//! ```
//!
//! It reads ten members of `std::vector<reco::Muon>`, split into branches or not, and no other bytes.

// A program of its own, over arrays whose lengths Arrow has checked.
#![allow(clippy::indexing_slicing, clippy::print_stdout)]

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Int32Type, Schema, UInt32Type};
use datafusion::parquet::arrow::ArrowWriter;
use root_reader::{RootFile, ScanOptions, Tree};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The product of the muons, as EDM names it, and the branch of the vector in it.
const PRODUCT: &str = "recoMuons_muons__RECO.";
/// Members of a muon, in the order of [`Muons`].
const MEMBERS: [&str; 9] = [
    "pt_",
    "eta_",
    "phi_",
    "pdgId_",
    "type_",
    "pfIsolationR04_.sumChargedHadronPt",
    "pfIsolationR04_.sumNeutralHadronEt",
    "pfIsolationR04_.sumPhotonEt",
    "pfIsolationR04_.sumPUPt",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().ok_or("usage: dimuon_reduction_aod OUT.parquet FILE.root…")?;
    let mut masses = Vec::new();
    let mut events = 0;
    for argument in arguments {
        let (path, tree) = argument
            .split_once(".root:")
            .map_or((argument.clone(), "Events"), |(file, tree)| (format!("{file}.root"), tree));
        let tree = RootFile::open_local(&path)?.tree_blocking(tree)?;
        events += tree.entries();
        reduce(&tree, &mut masses)?;
    }
    write(Path::new(&out), &masses)?;
    println!("{} of {events} events have a pair; their masses are in {out}", masses.len());
    for mass in masses.iter().take(10) {
        println!("{mass}");
    }
    Ok(())
}

/// Appends the mass of the leading pair of each event that has one.
pub fn reduce(tree: &Tree, masses: &mut Vec<f32>) -> Result<()> {
    let whole = tree.column(PRODUCT).filter(|column| column.field().is_ok()).cloned();
    let tree = match &whole {
        Some(column) => tree.narrowed(&vec![only_members(&column.field()?)?].into())?,
        None => tree.clone(),
    };
    let schema = tree.schema();
    let columns: Vec<usize> = match &whole {
        Some(column) => vec![schema.index_of(&column.name)?],
        None => MEMBERS
            .iter()
            .map(|m| schema.index_of(&format!("{PRODUCT}obj.{m}")))
            .collect::<std::result::Result<_, _>>()?,
    };
    for batch in tree.scan(&columns, 0..tree.entries(), ScanOptions::default())?.blocking() {
        let batch = batch?;
        let muons = match whole {
            Some(_) => Muons::of_objects(batch.column(0).as_struct())?,
            None => Muons::of_branches(batch.columns())?,
        };
        masses.extend((0..batch.num_rows()).filter_map(|event| muons.mass(event)));
    }
    Ok(())
}

/// The product's field with no other members than those that the reduction uses.
fn only_members(product: &Field) -> Result<Field> {
    fn narrowed(fields: &Fields, paths: &[&str]) -> Fields {
        let wanted = |field: &Arc<Field>| {
            let inner: Vec<&str> =
                paths.iter().filter_map(|p| p.strip_prefix(field.name().as_str())?.strip_prefix('.')).collect();
            match field.data_type() {
                DataType::Struct(fields) if !inner.is_empty() => {
                    let fields = narrowed(fields, &inner);
                    Some(Arc::new(field.as_ref().clone().with_data_type(DataType::Struct(fields))))
                }
                _ => paths.contains(&field.name().as_str()).then(|| field.clone()),
            }
        };
        fields.iter().filter_map(wanted).collect()
    }
    let DataType::Struct(members) = product.data_type() else { return Err("the product is no object".into()) };
    let (_, list) = members.find("obj").ok_or("the product has no `obj`")?;
    let DataType::List(item) = list.data_type() else { return Err("`obj` is no vector".into()) };
    let DataType::Struct(muon) = item.data_type() else { return Err("`obj` is no vector of objects".into()) };
    let item = item.as_ref().clone().with_data_type(DataType::Struct(narrowed(muon, &MEMBERS)));
    let list = list.as_ref().clone().with_data_type(DataType::List(Arc::new(item)));
    Ok(product.clone().with_data_type(DataType::Struct(vec![list].into())))
}

/// The muons of a batch of events.
struct Muons {
    /// Where the muons of each event start, and behind it where the last one's end.
    offsets: Vec<i32>,
    /// `pt_`, `eta_`, `phi_`, and the four sums of the isolation.
    reals: [ArrayRef; 7],
    pdg: ArrayRef,
    kind: ArrayRef,
}

impl Muons {
    fn of_branches(lists: &[ArrayRef]) -> Result<Self> {
        let offsets = lists.first().ok_or("no branches")?.as_list::<i32>().value_offsets().to_vec();
        let values = lists.iter().map(|list| list.as_list::<i32>().values().clone()).collect();
        Self::new(offsets, values)
    }

    fn of_objects(product: &StructArray) -> Result<Self> {
        let list = product.column_by_name("obj").ok_or("the product has no `obj`")?.as_list::<i32>();
        let member = |path: &&str| {
            let found = path
                .split('.')
                .try_fold(list.values().clone(), |array, name| array.as_struct_opt()?.column_by_name(name).cloned());
            found.ok_or_else(|| format!("muons have no {path}").into())
        };
        Self::new(list.value_offsets().to_vec(), MEMBERS.iter().map(member).collect::<Result<_>>()?)
    }

    fn new(offsets: Vec<i32>, values: Vec<ArrayRef>) -> Result<Self> {
        let [pt, eta, phi, pdg, kind, charged, neutral, photon, pileup]: [ArrayRef; 9] =
            values.try_into().map_err(|_| "not nine members")?;
        Ok(Self { offsets, reals: [pt, eta, phi, charged, neutral, photon, pileup], pdg, kind })
    }

    /// The mass of the two leading good muons of an event, if they are a pair.
    fn mass(&self, event: usize) -> Option<f32> {
        let (start, end) = (self.offsets[event] as usize, self.offsets[event + 1] as usize);
        if end - start < 2 {
            return None;
        }
        let [pt, eta, phi, charged, neutral, photon, pileup] =
            self.reals.each_ref().map(|array| array.as_primitive::<Float32Type>().values());
        let pdg = self.pdg.as_primitive::<Int32Type>().values();
        let kind = self.kind.as_primitive::<UInt32Type>().values();
        let isolation = |i: usize| {
            let rest = neutral[i] + photon[i] - 0.5 * pileup[i];
            (charged[i] + rest.max(0.0)) / pt[i]
        };
        let is_good = |i: &usize| pt[*i] > 10.0 && eta[*i].abs() < 2.4 && isolation(*i) < 0.5 && kind[*i] & 2 != 0;
        let mut good = (start..end).filter(is_good);
        let (a, b) = (good.next()?, good.next()?);
        let leads = pt[a] > 25.0 && eta[a].abs() < 2.1 && isolation(a) < 0.12;
        if !leads || pdg[a].signum() * pdg[b].signum() >= 0 {
            return None;
        }
        let angles = f64::from(eta[a] - eta[b]).cosh() - f64::from(phi[a] - phi[b]).cos();
        Some((2.0 * f64::from(pt[a] * pt[b]) * angles).sqrt() as f32)
    }
}

fn write(path: &Path, masses: &[f32]) -> Result<()> {
    let schema = Arc::new(Schema::new(vec![Field::new("mass", DataType::Float32, false)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Float32Array::from(masses.to_vec()))])?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}
