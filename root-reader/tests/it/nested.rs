//! Trees as objects: what the schema looks like, and that the values are those of the files.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields};
use root_reader::{RootFile, ScanOptions, Tree};

use crate::support::{concat, manifest_dir, read_column};

/// The real CMS events that the project ships.
fn sample() -> Tree {
    let file = manifest_dir().join("../examples/data/Run2012B_SingleMu_1000.root");
    RootFile::open_local(file).unwrap().tree_blocking("Events").unwrap()
}

/// Muons in the format of CMS's AOD, as ROOT writes it, and the folder with what ROOT reads.
fn aod() -> Option<(Tree, std::path::PathBuf)> {
    let folder = manifest_dir().join("../../shared/aod");
    if !folder.is_dir() {
        eprintln!("\n*** ../shared/aod is absent: the objects were not compared with what ROOT reads ***\n");
        return None;
    }
    let file = RootFile::open_local(folder.join("aod_dimuon_zlib.root")).unwrap();
    Some((file.tree_blocking("Events").unwrap(), folder))
}

fn read(tree: &Tree, fields: &Fields) -> RecordBatch {
    let plan = tree.nested().plan(fields);
    let scan = tree.scan(plan.columns(), 0..tree.entries(), ScanOptions::default()).unwrap();
    let batches: Vec<RecordBatch> = scan.blocking().map(|batch| plan.assemble(&batch.unwrap()).unwrap()).collect();
    concat(&plan.schema(), &batches)
}

fn field(tree: &Tree, name: &str) -> Field {
    tree.nested().schema().field_with_name(name).unwrap().clone()
}

/// The fields of a struct, or of the structs of a list.
fn members(data_type: &DataType) -> Fields {
    match data_type {
        DataType::Struct(fields) => fields.clone(),
        DataType::List(item) => members(item.data_type()),
        other => panic!("{other} has no members"),
    }
}

fn names(fields: &Fields) -> Vec<&str> {
    fields.iter().map(|field| field.name().as_str()).collect()
}

/// A member at the end of a path through structs and the elements of lists.
fn at(array: &ArrayRef, path: &[&str]) -> ArrayRef {
    match (array.data_type(), path) {
        (DataType::List(_), _) => at(array.as_list::<i32>().values(), path),
        (DataType::Struct(_), [first, rest @ ..]) => at(array.as_struct().column_by_name(first).unwrap(), rest),
        (_, []) => array.clone(),
        (other, rest) => panic!("{rest:?} of {other}"),
    }
}

/// The same type without what is not on the path.
fn only(data_type: &DataType, path: &[&str]) -> DataType {
    match (data_type, path) {
        (DataType::List(item), _) => {
            DataType::List(Field::new_list_field(only(item.data_type(), path), item.is_nullable()).into())
        }
        (DataType::Struct(_), []) => DataType::Struct(Fields::empty()),
        (DataType::Struct(fields), [first, rest @ ..]) => {
            let (_, own) = fields.find(first).unwrap();
            DataType::Struct(vec![Field::new(*first, only(own.data_type(), rest), true)].into())
        }
        (other, _) => other.clone(),
    }
}

#[test]
fn plain_branches_with_a_counter_are_a_list_of_structs_and_without_one_a_struct() {
    let tree = sample();
    let schema = tree.nested().schema();
    let all = names(schema.fields());
    assert_eq!(
        all,
        ["run", "luminosityBlock", "event", "HLT", "PV", "Muon", "Electron", "Tau", "Photon", "MET", "Jet"]
    );
    let muon = field(&tree, "Muon");
    assert!(matches!(muon.data_type(), DataType::List(_)));
    assert_eq!(names(&members(muon.data_type()))[..5], ["pt", "eta", "phi", "mass", "charge"]);
    assert!(members(muon.data_type()).find("jetIdx").is_some(), "references stay as they are");
    let met = field(&tree, "MET");
    assert!(matches!(met.data_type(), DataType::Struct(_)));
    assert_eq!(names(&members(met.data_type())), ["pt", "phi", "sumet", "significance", "CovXX", "CovXY", "CovYY"]);
}

#[test]
fn the_members_of_a_group_have_the_values_and_lengths_of_their_branches() {
    let tree = sample();
    let schema = tree.schema();
    let flat = |name: &str| {
        read_column(&tree, schema.index_of(name).unwrap(), 0..tree.entries(), ScanOptions::default()).unwrap()
    };
    let batch = read(&tree, &vec![field(&tree, "Muon"), field(&tree, "MET")].into());
    assert_eq!(&at(batch.column(0), &["pt"]), flat("Muon_pt").as_list::<i32>().values());
    assert_eq!(&at(batch.column(0), &["charge"]), flat("Muon_charge").as_list::<i32>().values());
    assert_eq!(&at(batch.column(1), &["pt"]), &flat("MET_pt"));
    let lengths: Vec<u32> = batch.column(0).as_list::<i32>().iter().map(|entry| entry.unwrap().len() as u32).collect();
    assert_eq!(lengths, flat("nMuon").as_primitive::<UInt32Type>().values().to_vec());
}

#[test]
fn only_the_branches_of_the_wanted_members_are_read() {
    let tree = sample();
    let muon = field(&tree, "Muon");
    let narrow = |path: &[&str]| Fields::from(vec![Field::new("Muon", only(muon.data_type(), path), true)]);
    let name = |column: &usize| tree.schema().field(*column).name().clone();
    let plan = tree.nested().plan(&narrow(&["eta"]));
    assert_eq!(plan.columns().iter().map(name).collect::<Vec<_>>(), ["Muon_eta"]);
    // The lengths alone are what the counter is for.
    let plan = tree.nested().plan(&narrow(&[]));
    assert_eq!(plan.columns().iter().map(name).collect::<Vec<_>>(), ["nMuon"]);
    let lengths = read(&tree, &narrow(&[]));
    let whole = read(&tree, &narrow(&["pt"]));
    assert_eq!(lengths.column(0).as_list::<i32>().offsets(), whole.column(0).as_list::<i32>().offsets());
}

#[test]
fn a_split_collection_is_a_list_with_its_base_classes_as_structs() {
    let Some((tree, folder)) = aod() else { return };
    let muons = field(&tree, "recoMuons_muons__RECO.");
    let wrapper = members(muons.data_type());
    assert_eq!(names(&wrapper), ["recoMuons_muons__RECO.present", "recoMuons_muons__RECO.obj"]);
    let batch = read(&tree, &vec![muons].into());
    let obj = "recoMuons_muons__RECO.obj";
    let candidate = |name| at(batch.column(0), &[obj, "reco::RecoCandidate", "reco::LeafCandidate", name]);
    let isolation = |name| at(batch.column(0), &[obj, "pfIsolationR04_", name]);

    let text = std::fs::read_to_string(folder.join("ref_dimuon_muons.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let reference = |name: &str| {
        let column = header.iter().position(|h| *h == name).unwrap();
        rows.iter().map(move |row| row[column])
    };
    for name in ["pt_", "eta_", "phi_"] {
        let expected: Vec<f32> = reference(name).map(|v| v.parse().unwrap()).collect();
        assert_eq!(candidate(name).as_primitive::<Float32Type>().values()[..], expected, "{name}");
    }
    for name in ["qx3_", "pdgId_"] {
        let expected: Vec<i32> = reference(name).map(|v| v.parse().unwrap()).collect();
        assert_eq!(candidate(name).as_primitive::<Int32Type>().values()[..], expected, "{name}");
    }
    let expected: Vec<u32> = reference("type_").map(|v| v.parse().unwrap()).collect();
    assert_eq!(at(batch.column(0), &[obj, "type_"]).as_primitive::<UInt32Type>().values()[..], expected);
    for name in ["sumChargedHadronPt", "sumNeutralHadronEt", "sumPhotonEt", "sumPUPt"] {
        let expected: Vec<f32> = reference(name).map(|v| v.parse().unwrap()).collect();
        assert_eq!(isolation(name).as_primitive::<Float32Type>().values()[..], expected, "{name}");
    }
    // Entry by entry: how many muons, and where an entry begins.
    let lists = batch.column(0).as_struct().column(1).as_list::<i32>();
    let mut lengths = vec![0; tree.entries() as usize];
    reference("entry").for_each(|entry| lengths[entry.parse::<usize>().unwrap()] += 1);
    assert_eq!(lists.offsets().lengths().collect::<Vec<_>>(), lengths);
}

#[test]
fn the_length_of_a_split_collection_costs_four_bytes_an_entry() {
    let Some((tree, _)) = aod() else { return };
    let path = ["recoMuons_muons__RECO.obj"];
    let wanted = |path: &[&str]| {
        let whole = field(&tree, "recoMuons_muons__RECO.");
        Fields::from(vec![Field::new(whole.name(), only(whole.data_type(), path), true)])
    };
    let plan = tree.nested().plan(&wanted(&path));
    let options = ScanOptions::default();
    let metrics = options.metrics.clone();
    let scan = tree.scan(plan.columns(), 0..tree.entries(), options).unwrap();
    let lengths: usize = scan.blocking().map(|b| at(plan.assemble(&b.unwrap()).unwrap().column(0), &path).len()).sum();
    let collection = tree.branches().iter().find(|b| b.name == path[0]).unwrap();
    assert_eq!(metrics.baskets_read() as usize, collection.basket_count());
    let muons = read(&tree, &wanted(&[path[0], "type_"]));
    assert_eq!(lengths, at(muons.column(0), &[path[0], "type_"]).len());
}

#[test]
fn members_that_cannot_be_read_are_left_out_and_listed_with_the_reason() {
    let Some((tree, _)) = aod() else { return };
    let muon = members(members(field(&tree, "recoMuons_muons__RECO.").data_type())[1].data_type());
    for column in tree.columns().iter().filter(|c| c.name.starts_with("recoMuons_muons__RECO.obj.")) {
        let member = column.name.rsplit('.').next().unwrap();
        if column.field().is_err() {
            assert!(muon.find(member).is_none(), "{}", column.name);
        }
    }
    assert!(tree.columns().iter().any(|c| c.name.ends_with("muMatches_")));
}

/// A tree of the corpus of real files, which is not part of the project.
fn corpus(file: &str, tree: &str) -> Option<Tree> {
    let path = manifest_dir().join("../../shared/corpus/files").join(file);
    if !path.is_file() {
        eprintln!("\n*** ../shared/corpus is absent: {file} was not looked at ***\n");
        return None;
    }
    Some(RootFile::open_local(path).unwrap().tree_blocking(tree).unwrap())
}

#[test]
fn auxiliary_data_of_xaod_are_lists_of_structs_or_a_struct() {
    let file = "func_adl_xaod__atlas__r22_xaod__100events_ttbar.FullSim.DAOD_PHYSLITE-22.2.110.pool.root";
    let Some(tree) = corpus(file, "CollectionTree") else { return };
    let muons = field(&tree, "AnalysisMuons");
    assert!(matches!(muons.data_type(), DataType::List(_)));
    let link = members(muons.data_type()).find("truthParticleLink").unwrap().1.clone();
    assert_eq!(names(&members(members(link.data_type())[0].data_type())), ["m_persKey", "m_persIndex"]);
    // Values of the event and vectors side by side.
    let event = field(&tree, "EventInfo");
    assert!(matches!(event.data_type(), DataType::Struct(_)));
    assert_eq!(
        members(event.data_type()).find("mcEventWeights").unwrap().1.data_type().to_string(),
        "List(non-null Float32)"
    );

    let batch = read(&tree, &vec![muons].into());
    let schema = tree.schema();
    let flat = |name: &str| {
        read_column(&tree, schema.index_of(name).unwrap(), 0..tree.entries(), ScanOptions::default()).unwrap()
    };
    let pt = flat("AnalysisMuonsAuxDyn.pt");
    assert_eq!(&at(batch.column(0), &["pt"]), pt.as_list::<i32>().values());
    assert_eq!(batch.column(0).as_list::<i32>().offsets(), pt.as_list::<i32>().offsets());
}

#[test]
fn auxiliary_data_of_different_lengths_are_an_error_that_names_them() {
    let file = "func_adl_xaod__atlas__r22_xaod__100events_ttbar.FullSim.DAOD_PHYSLITE-22.2.110.pool.root";
    let Some(tree) = corpus(file, "CollectionTree") else { return };
    // The third event has three electrons without isolation.
    let electrons = field(&tree, "TruthElectrons");
    let item = |members: &[&str]| {
        let members: Vec<Field> = members.iter().map(|m| Field::new(*m, DataType::Float32, true)).collect();
        let item = Field::new_list_field(DataType::Struct(members.into()), true);
        Fields::from(vec![Field::new(electrons.name(), DataType::List(item.into()), true)])
    };
    let plan = tree.nested().plan(&item(&["px", "ptcone30"]));
    let mut scan = tree.scan(plan.columns(), 0..tree.entries(), ScanOptions::default()).unwrap().blocking();
    let error = plan.assemble(&scan.next().unwrap().unwrap()).unwrap_err().to_string();
    for part in [file, "CollectionTree", "TruthElectronsAuxDyn.px", "TruthElectronsAuxDyn.ptcone30"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    // Alone each of them is fine.
    assert_eq!(read(&tree, &item(&["px"])).num_rows() as u64, tree.entries());
    assert_eq!(read(&tree, &item(&["ptcone30"])).num_rows() as u64, tree.entries());
}
