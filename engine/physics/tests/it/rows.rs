//! Some rows of columns, as Arrow's own filter finds them.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, ListArray, StructArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::Field;
use root_physics::KeptRows;

fn numbers() -> ListArray {
    let rows =
        [Some(vec![Some(1), None]), Some(vec![]), None, Some(vec![Some(3)]), Some(vec![Some(4), Some(5), Some(6)])];
    ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
}

/// Lists of structs, of which a null row has elements.
fn objects() -> ListArray {
    let (x, y) = (Int32Array::from_iter_values(0..8), Int32Array::from_iter_values(10..18));
    let members: Vec<(Arc<Field>, ArrayRef)> = [("x", x), ("y", y)]
        .map(|(name, column)| {
            (Arc::new(Field::new(name, column.data_type().clone(), true)), Arc::new(column) as ArrayRef)
        })
        .into();
    let objects = StructArray::from(members);
    let element = Arc::new(Field::new_list_field(objects.data_type().clone(), true));
    let nulls = NullBuffer::from(vec![true, false, true, true, true]);
    ListArray::new(element, OffsetBuffer::from_lengths([2, 1, 0, 2, 3]), Arc::new(objects), Some(nulls))
}

/// A column of structs with a list in them.
fn nested() -> StructArray {
    let list: ArrayRef = Arc::new(numbers());
    let field = Arc::new(Field::new("list", list.data_type().clone(), true));
    StructArray::new(vec![field].into(), vec![list], Some(NullBuffer::from(vec![true, true, true, false, true])))
}

#[test]
fn kept_rows_are_those_of_arrow_whatever_the_column() {
    let lists_of_lists = {
        let values: ArrayRef = Arc::new(numbers());
        let element = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        ListArray::new(element, OffsetBuffer::from_lengths([1, 0, 2, 0, 2]), values, None)
    };
    let lists_without_nulls = {
        let values: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
            [vec![7], vec![], vec![8, 9], vec![10], vec![11]].map(|row| Some(row.into_iter().map(Some))),
        ));
        let element = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        ListArray::new(element, OffsetBuffer::from_lengths([0, 2, 1, 0, 2]), values, None)
    };
    let plain: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4), None]));
    let columns: [ArrayRef; 6] = [
        plain,
        Arc::new(numbers()),
        Arc::new(objects()),
        Arc::new(nested()),
        Arc::new(lists_of_lists),
        Arc::new(lists_without_nulls),
    ];
    for column in columns {
        for (start, length) in [(0, 5), (1, 4), (2, 2)] {
            let column = column.slice(start, length);
            for bits in 0..1u32 << length {
                let flags = BooleanBuffer::collect_bool(length, |row| bits >> row & 1 == 1);
                let expected = arrow_select::filter::filter(&column, &BooleanArray::new(flags.clone(), None)).unwrap();

                let kept = KeptRows::new(flags).of(&column).unwrap();

                assert_eq!(&kept, &expected, "{start}, {length}, {bits:b}");
            }
        }
    }
}

#[test]
fn lists_share_their_values_where_the_other_rows_have_none() {
    let lists: ArrayRef = Arc::new(numbers());
    let kept = KeptRows::new(BooleanBuffer::from_iter([true, false, false, true, true])).of(&lists).unwrap();
    let values = |list: &ArrayRef| list.to_data().child_data()[0].buffers()[0].as_ptr();
    assert_eq!(values(&kept), values(&lists));
}

#[test]
fn another_number_of_rows_is_an_error() {
    let lists: ArrayRef = Arc::new(numbers());
    assert!(KeptRows::new(BooleanBuffer::new_set(4)).of(&lists).is_err());
}
