//! The record of a tree: `TTree` with its branches, leaves, clusters and the places of all baskets.

use crate::column::Form;
use crate::number::Number;
use crate::tree::{Branch, Tree};
use crate::wire::{PLAIN_BITS, Record, Reference};

/// Bits of objects that are deleted with what they belong to.
const MUST_CLEANUP: u32 = 1 << 3;
/// Branches do not keep their buffer's map of objects.
const NO_BUFFER_MAP: u32 = 1 << 22;
/// Places for baskets that a branch has at least.
const LEAST_BASKETS: usize = 10;
/// What ROOT starts the tables of entries with; that it is not 0 says that there are such tables.
const ENTRY_OFFSETS: i32 = 1000;
/// Checksum and version by which ROOT knows `vector<string>`.
const VECTOR_OF_STRINGS: (u32, u16) = (0x100e_72bc, 6);

impl Tree {
    /// Classes of the objects in the record.
    pub(crate) fn classes(&self) -> Vec<&'static str> {
        let mut classes = vec!["TTree", "TBranch", "ROOT::TIOFeatures"];
        for branch in &self.branches {
            classes.push(leaf_class(&branch.plan.form));
            if branch.plan.form == Form::Texts {
                classes.push("TBranchElement");
            }
        }
        classes
    }

    /// The content of the record behind a key of that length.
    pub(crate) fn encode(&self, key_length: usize) -> Vec<u8> {
        let mut record = Record::new(key_length);
        record.framed(20, |r| {
            r.tnamed(PLAIN_BITS | MUST_CLEANUP, self.name(), self.title());
            line_attributes(r);
            fill_attributes(r);
            marker_attributes(r);
            self.figures(r);
            io_features(r);
            let mut leaves = Vec::new();
            r.obj_array(&self.branches, |r, branch| {
                let leaf = self.branch(r, branch, &leaves);
                leaves.push(leaf);
            });
            r.obj_array(&leaves, |r, leaf| r.refer(*leaf));
            r.null(); // aliases
            r.array_f64(&[]); // values of an index
            r.i32(0); // entries of an index
            (0..4).for_each(|_| r.null()); // index, friends, user information, references
        });
        record.into_bytes()
    }

    fn figures(&self, r: &mut Record) {
        let sum = |of: fn(&Branch) -> u64| self.branches.iter().map(of).sum::<u64>();
        let (ranges, size) = self.cluster_ranges();
        r.u64(self.entries);
        r.u64(sum(|branch| branch.total_bytes));
        r.u64(sum(|branch| branch.zip_bytes));
        r.i64(0); // bytes that were saved in between
        r.u64(sum(|branch| branch.zip_bytes));
        r.f64(1.0); // weight
        r.i32(0); // timer
        r.i32(25); // lines of a scan
        r.i32(0); // update
        r.i32(ENTRY_OFFSETS);
        r.i32(ranges.len() as i32);
        r.i64(1_000_000_000_000); // most entries in memory
        r.i64(1_000_000_000_000); // most entries of a loop
        r.i64(0); // most bytes in memory
        r.i64(-300_000_000); // auto-save
        r.u64(size);
        r.i64(1_000_000); // estimate
        r.counted(&ranges, |r, (last, _)| r.u64(last));
        r.counted(&ranges, |r, (_, size)| r.u64(size));
    }

    /// Last entry and cluster size of all ranges of entries with clusters of one size, but for the last range, whose size
    /// stands alone. A shorter cluster at the end belongs to the range before it.
    fn cluster_ranges(&self) -> (Vec<(u64, u64)>, u64) {
        let mut runs = self.clusters.clone();
        if let [.., (before, _), (last, 1)] = runs.as_slice()
            && last < before
        {
            runs.pop();
        }
        let Some((size, _)) = runs.pop() else {
            return (Vec::new(), 0);
        };
        let mut end = 0;
        let ranges = runs.iter().map(|(size, count)| {
            end += size * count;
            (end - 1, *size)
        });
        (ranges.collect(), size)
    }

    /// Writes a branch behind a pointer; gives the place of its leaf. `leaves` are those of the branches before it.
    fn branch(&self, r: &mut Record, branch: &Branch, leaves: &[Reference]) -> Reference {
        let is_element = branch.plan.form == Form::Texts;
        let mut leaf = None;
        let class = if is_element { "TBranchElement" } else { "TBranch" };
        r.object(class, |r| {
            if !is_element {
                leaf = Some(self.plain_branch(r, branch, leaves));
                return;
            }
            r.framed(10, |r| {
                leaf = Some(self.plain_branch(r, branch, leaves));
                let (checksum, version) = VECTOR_OF_STRINGS;
                r.string("vector<string>");
                r.string(""); // parent
                r.string(""); // class of clones
                r.u32(checksum);
                r.u16(version);
                r.i32(-1); // no member of a class
                r.i32(0); // not split
                r.i32(-1); // the whole object
                r.i32(0); // most elements
                r.null();
                r.null();
            });
        });
        leaf.unwrap_or(Reference::NONE)
    }

    fn plain_branch(&self, r: &mut Record, branch: &Branch, leaves: &[Reference]) -> Reference {
        let places = LEAST_BASKETS.max(branch.baskets.len() + 1);
        let plan = &branch.plan;
        let mut leaf = Reference::NONE;
        r.framed(13, |r| {
            r.tnamed(PLAIN_BITS | NO_BUFFER_MAP, &plan.name, &self.branch_title(branch));
            fill_attributes(r);
            r.u32(self.compression.setting());
            r.u32(branch.basket_bytes.max(32_000));
            r.i32(if plan.form.is_jagged() { ENTRY_OFFSETS } else { 0 });
            r.i32(branch.baskets.len() as i32);
            r.u64(self.entries);
            io_features(r);
            r.i32(0); // offset
            r.u32(places as u32);
            r.i32(0); // split level
            r.u64(self.entries);
            r.i64(0); // first entry
            r.u64(branch.total_bytes);
            r.u64(branch.zip_bytes);
            r.obj_array(&[(); 0], |_, ()| {});
            r.obj_array(&[()], |r, ()| leaf = self.leaf(r, branch, leaves));
            r.obj_array(&[(); 0], |_, ()| {}); // baskets in memory
            let padding = |used: usize| places - used;
            r.bool(true);
            branch.baskets.iter().for_each(|basket| r.u32(basket.bytes));
            (0..padding(branch.baskets.len())).for_each(|_| r.u32(0));
            r.bool(true);
            branch.baskets.iter().for_each(|basket| r.u64(basket.first_entry));
            r.u64(self.entries);
            (0..padding(branch.baskets.len() + 1)).for_each(|_| r.u64(0));
            r.bool(true);
            branch.baskets.iter().for_each(|basket| r.u64(basket.seek));
            (0..padding(branch.baskets.len())).for_each(|_| r.u64(0));
            r.string(""); // the baskets are in this file
        });
        leaf
    }

    /// `name[counter][3]/F`.
    fn branch_title(&self, branch: &Branch) -> String {
        let title = self.leaf_title(branch);
        match &branch.plan.form {
            Form::Texts => title,
            Form::Text => format!("{title}/C"),
            Form::Length => format!("{title}/{}", Number::I32.letter()),
            Form::Fixed { number, .. } | Form::Counted { number, .. } | Form::Count { number } => {
                format!("{title}/{}", number.letter())
            }
        }
    }

    fn leaf_title(&self, branch: &Branch) -> String {
        let name = &branch.plan.name;
        let text = |dims: &[usize]| dims.iter().map(|n| format!("[{n}]")).collect::<String>();
        match &branch.plan.form {
            Form::Fixed { dims, .. } => format!("{name}{}", text(dims)),
            Form::Counted { dims, counter, .. } => {
                let counter =
                    self.branches.get(counter.branch).map(|branch| branch.plan.name.as_str()).unwrap_or_default();
                format!("{name}[{counter}]{}", text(dims))
            }
            Form::Length | Form::Count { .. } | Form::Text | Form::Texts => name.clone(),
        }
    }

    /// Writes the leaf of a branch behind a pointer.
    fn leaf(&self, r: &mut Record, branch: &Branch, leaves: &[Reference]) -> Reference {
        let form = &branch.plan.form;
        let counts = matches!(form, Form::Length | Form::Count { .. });
        let longest = branch.largest + 1;
        let (length, width) = match form {
            Form::Fixed { number, dims } | Form::Counted { number, dims, .. } => {
                (dims.iter().product(), number.width())
            }
            Form::Count { number } => (1, number.width()),
            Form::Length => (1, Number::I32.width()),
            Form::Text => (longest as usize, 1),
            Form::Texts => (1, 0),
        };
        let number = number(form);
        r.object(leaf_class(form), |r| {
            r.framed(1, |r| {
                r.framed(2, |r| {
                    r.tnamed(PLAIN_BITS, &branch.plan.name, &self.leaf_title(branch));
                    r.i32(length as i32);
                    r.i32(width as i32);
                    r.i32(0); // offset
                    r.bool(counts); // whether the range is known: readers make room by it
                    r.bool(number.is_some_and(Number::is_unsigned));
                    match form {
                        Form::Counted { counter, .. } => match leaves.get(counter.branch) {
                            Some(leaf) => r.refer(*leaf),
                            None => r.null(),
                        },
                        _ => r.null(),
                    }
                });
                let largest = if counts { branch.largest } else { 0 };
                match number {
                    Some(Number::Bool) => (0..2).for_each(|_| r.bool(false)),
                    Some(Number::I8 | Number::U8) => [0, largest].iter().for_each(|n| r.u8(*n as u8)),
                    Some(Number::I16 | Number::U16) => [0, largest].iter().for_each(|n| r.u16(*n as u16)),
                    Some(Number::I32 | Number::U32) => [0, largest].iter().for_each(|n| r.u32(*n as u32)),
                    Some(Number::I64 | Number::U64) => (0..2).for_each(|_| r.i64(0)),
                    Some(Number::F32) => (0..2).for_each(|_| r.f32(0.0)),
                    Some(Number::F64) => (0..2).for_each(|_| r.f64(0.0)),
                    None if *form == Form::Text => [0, longest].iter().for_each(|n| r.i32(*n as i32)),
                    // Neither a member of a class nor of a type that has a number.
                    None => (0..2).for_each(|_| r.i32(-1)),
                }
            });
        })
    }
}

/// The number that the leaf holds, if it holds numbers.
fn number(form: &Form) -> Option<Number> {
    match form {
        Form::Fixed { number, .. } | Form::Counted { number, .. } | Form::Count { number } => Some(*number),
        Form::Length => Some(Number::I32),
        Form::Text | Form::Texts => None,
    }
}

fn leaf_class(form: &Form) -> &'static str {
    match (number(form), form) {
        (Some(number), _) => number.leaf_class(),
        (None, Form::Text) => "TLeafC",
        (None, _) => "TLeafElement",
    }
}

/// `TAttLine` as ROOT has it if nobody says otherwise.
pub(crate) fn line_attributes(r: &mut Record) {
    r.framed(2, |r| [602, 1, 1].iter().for_each(|n| r.u16(*n)));
}

/// `TAttFill`.
pub(crate) fn fill_attributes(r: &mut Record) {
    r.framed(2, |r| [0, 1001].iter().for_each(|n| r.u16(*n)));
}

/// `TAttMarker`.
pub(crate) fn marker_attributes(r: &mut Record) {
    r.framed(2, |r| {
        [1, 1].iter().for_each(|n| r.u16(*n));
        r.f32(1.0);
    });
}

/// `ROOT::TIOFeatures` without any feature; a class without a version, which its checksum stands for.
fn io_features(r: &mut Record) {
    r.framed(0, |r| {
        r.u32(0x1aa1_2f10);
        r.u8(0);
    });
}
