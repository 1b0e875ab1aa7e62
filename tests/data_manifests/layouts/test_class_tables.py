"""Class tables and class maps as people write them, and as they should not."""

from __future__ import annotations

import numpy as np
import pytest

from data_manifests import DataError, LabelClass, LabelSpace, known_label_space, read_classes_csv, read_label_space
from data_manifests.layouts.class_tables import merge_classes, read_class_map
from tests.helpers.real_data import real_data


def space_of(tmp_path, text, name="classes.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_label_space(path)


class TestCsv:
    @pytest.mark.parametrize(
        "text",
        [
            "id,name\n0,road\n1,car\n",
            "\ufeffID, Name \r\n0 , road\r\n1,car\r\n\r\n",  # as Excel and people write it
            "index,name,note\n0,road,x\n1,car,\n",
            "Pixel Value, Class\n0, road\n1, car\n",  # Roboflow
            "name,id,void\nroad,0,0\ncar,1,no\nsky,7,1\nfog,8,TRUE\n",
            "id,name,train_id\n0,road,0\n1,car,1\n2,a,255\n3,b,-1\n4,c,\n5,d,65535\n",
            "id,name\n0,road\n1,car\n255,Void\n9,unlabelled\n10,Ignore\n",
        ],
        ids=["plain", "excel", "index", "roboflow", "void column", "train_id", "void names"],
    )
    def test_variants_mean_the_same_two_classes(self, tmp_path, text):
        space = space_of(tmp_path, text)
        assert space.class_names == ("road", "car")
        assert [c.class_ids for c in space.classes] == [(0,), (1,)]
        mask = np.array([[0, 1, 255, *space.void_ids]], np.uint8)
        assert space.to_train_ids(mask, "class_ids").tolist() == [[0, 1] + [255] * (mask.size - 2)]

    def test_a_void_column_overrules_the_name(self, tmp_path):
        assert space_of(tmp_path, "id,name,void\n0,border,0\n1,x,1\n").class_names == ("border",)

    def test_rows_of_one_train_id_form_a_class(self, tmp_path):
        space = space_of(tmp_path, "id,name,train_id,r,g,b\n7,vehicle,1,1,2,3\n3,road,0,4,5,6\n8,truck,1,7,8,9\n")
        assert space.classes == (LabelClass("road", (4, 5, 6), (3,)), LabelClass("vehicle", (1, 2, 3), (7, 8)))

    def test_train_id_255_is_a_class_among_300(self, tmp_path):
        rows = "".join(f"{i},class {i},{i}\n" for i in range(300))
        space = space_of(tmp_path, f"id,name,train_id\n{rows}")
        assert space.num_classes == 300 and space.void_ids == ()

    def test_colours_alone_identify_classes_and_void(self, tmp_path):
        space = space_of(tmp_path, "name,r,g,b\nroad,1,2,3\nVoid,0,0,0\nborder,,,\ncar,0,0,9\n", "class_dict.csv")
        assert space.ids_are_colors and space.void_ids == (0,)
        assert space.classes == (LabelClass("road", (1, 2, 3), (0x010203,)), LabelClass("car", (0, 0, 9), (9,)))

    @pytest.mark.parametrize("columns", ["id,name,r,g,b", "Index,Name,Red,Green,Blue", "id,name,red,green,blue"])
    def test_columns_of_colours_have_two_names(self, tmp_path, columns):
        space = space_of(tmp_path, f"{columns}\n3,road,1,2,3\n9,void,0,0,7\n")
        assert space.classes == (LabelClass("road", (1, 2, 3), (3,)),) and space.void_ids == (9,)
        assert space.by_color is not None and space.by_color.void_ids == (7,)

    def test_a_name_of_a_column_is_not_taken_twice(self, tmp_path):
        assert space_of(tmp_path, "id,name,index\n3,road,0\n").classes[0].class_ids == (3,)

    def test_quoted_names(self, tmp_path):
        assert space_of(tmp_path, 'id,name\n0,"road, paved\nor not"\n').class_names == ("road, paved\nor not",)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no column name and id"),
            ("name,id\n", "classes.csv: contains a header but no classes"),
            ("id;name\n0;road\n", "no column name and id in 'id;name'.*separated by commas"),
            ("id,color\n0,red\n", "no column name in 'id,color'"),
            ("name,r,g,b\nroad,1,2,3\ncar,1,2,3\n", r"Colour \(1, 2, 3\) belongs to both 'road' and 'car'"),
            ("name,r,g,b\nroad,,,\n", "line 2: "),
            ("id,name\n0,road,x\n", "line 2: expected 2 cells as in the first line, got 3"),
            ("id,name\nzero,road\n", "line 2: invalid literal"),
            ("id,name\n0,road\n0,car\n", "Id 0 belongs to both 'road' and 'car'"),
            ("id,name\n-3,road\n", "has id -3"),
            ("id,name,train_id\n0,a,0\n1,b,2\n", "without gaps, got 0, 2"),
            ("id,name,r,g,b\n0,a,1,2,300\n", "line 2: colour .* outside 0..255"),
            ("id,name\n255,void\n", "has no classes"),
            ("id,name,Id\n0,road,1\n", "column 'id' occurs twice"),
            ("name,red,Red,green,blue\nroad,1,2,3,4\n", "column 'r' occurs twice"),
            (b"id,name\n0,stra\xdfe\n", "not a CSV table in UTF-8"),
            ('id,name\n0,"road\n', "not a CSV table"),
        ],
    )
    def test_bad_tables_name_the_file(self, tmp_path, text, message):
        with pytest.raises(DataError, match=message) as caught:
            space_of(tmp_path, text)
        assert str(tmp_path / "classes.csv") in str(caught.value)

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match=r"none.csv: no such file"):
            read_label_space(tmp_path / "none.csv")


class TestJsonAndToml:
    def test_toml(self, tmp_path):
        text = """
            name = "streets"
            void_ids = [9]
            [[classes]]
            name = "road"
            class_ids = [7, 8]
            color = [128, 64, 128]
            [[classes]]
            name = "car"
        """
        space = space_of(tmp_path, text, "classes.toml")
        assert space.name == "streets" and space.void_ids == (9,)
        assert space.classes == (LabelClass("road", (128, 64, 128), (7, 8)), LabelClass("car", (0, 128, 0), (1,)))

    def test_json_of_a_label_space(self, tmp_path):
        import json

        space = known_label_space("ade20k")
        assert space_of(tmp_path, json.dumps(space.to_dict()), "x.json") == space

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("x.json", "{", "cannot be read"),
            ("x.json", "[" * 100_000, "cannot be read"),
            ("x.json", "[]", "expected a table of names and values, got a list"),
            ("x.toml", "a = ", "cannot be read"),
            ("x.toml", b"\xff", "cannot be read"),
            ("x.json", "{}", "damaged"),
            ("x.yaml", "", "ends in .json or .toml"),
        ],
    )
    def test_bad(self, tmp_path, name, text, message):
        with pytest.raises(DataError, match=message) as caught:
            space_of(tmp_path, text, name)
        assert name in str(caught.value)


class TestRealTables:
    def test_camvid(self):
        space = read_classes_csv(real_data("camvid") / "classes.csv")
        assert space.classes == known_label_space("camvid").classes and space.void_ids == (11,)

    def test_voc(self):
        space = read_classes_csv(real_data("voc_sample") / "classes.csv")
        assert space.classes == known_label_space("pascal_voc").classes and space.void_ids == (255,)


class TestClassMap:
    space = LabelSpace(
        "s",
        tuple(LabelClass(name, (i, i, i), (10 + i,)) for i, name in enumerate(["sky", "car", "road", "bus", "dog"])),
        void_ids=(3,),
    )

    def test_merge_rename_and_leave_out(self):
        merged = merge_classes(self.space, {"vehicle": ["bus", "car"], "way": ["road"], "void": ["dog"]})
        assert merged.classes == (
            LabelClass("vehicle", (3, 3, 3), (13, 11)),
            LabelClass("way", (2, 2, 2), (12,)),
            LabelClass("sky", (0, 0, 0), (10,)),
        )
        mask = np.array([[10, 11, 12, 13, 14, 3, 255]], np.uint8)
        assert merged.to_train_ids(mask, "class_ids").tolist() == [[2, 0, 1, 0, 255, 255, 255]]

    def test_void_of_sixteen_bit_masks_stays_void(self):
        many = LabelSpace("m", tuple(LabelClass(str(i), (0, 0, 0), (i,)) for i in range(300)))
        merged = merge_classes(many, {"low": [str(i) for i in range(256)], "void": [str(i) for i in range(256, 299)]})
        mask = np.array([[0, 255, 256, 299, 65535]], np.uint16)
        assert merged.to_train_ids(mask, "class_ids").tolist() == [[0, 0, 255, 1, 255]]

    def test_an_id_255_that_is_a_class_stays_one(self):
        space = LabelSpace("s", (LabelClass("a", (0, 0, 0), (255,)), LabelClass("b", (1, 1, 1), (1,))), (0,))
        merged = merge_classes(space, {"c": ["a"]})
        assert merged.to_train_ids(np.array([[255, 1, 0]], np.uint8), "class_ids").tolist() == [[0, 1, 255]]

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ({"a": ["cat"]}, "Unknown classes in the map: cat. Classes: sky, car"),
            ({"a": ["car"], "b": ["car"]}, "named twice in the map: car"),
            ({"sky": ["car"]}, "New names sky already belong"),
            ({"void": ["sky", "car", "road", "bus", "dog"]}, "has no classes"),
        ],
    )
    def test_bad_maps(self, groups, message):
        with pytest.raises(DataError, match=message):
            merge_classes(self.space, groups)

    def test_read(self, tmp_path):
        path = tmp_path / "map.toml"
        path.write_text('vehicle = ["car", "bus"]\n"flat ground" = ["road"]\n')
        assert read_class_map(path) == {"vehicle": ["car", "bus"], "flat ground": ["road"]}
        path.write_text('vehicle = "car"\n')
        with pytest.raises(DataError, match=r"map.toml: expected a list of class names for 'vehicle', got 'car'"):
            read_class_map(path)


def test_a_number_of_5000_digits(tmp_path):
    (tmp_path / "classes.csv").write_text(f"name,id,train_id\na,0,{'9' * 5000}\n")
    with pytest.raises(DataError, match=r"classes\.csv, line 2: Exceeds the limit"):
        read_classes_csv(tmp_path / "classes.csv")


def test_text_with_one_name_per_line(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# of the survey\nbackground\n\ntraffic light\n__ignore__\n")
    space = read_label_space(path)
    assert [(c.name, c.class_ids) for c in space.classes] == [("background", (0,)), ("traffic light", (1,))]
    for line in ("1: tree", "1 tree", "1,tree", "tree, dead", "tree\t1"):
        path.write_text(f"background\n{line}\n")
        with pytest.raises(DataError, match=r"names.txt: expected one class name per line.*classes.csv"):
            read_label_space(path)
    (tmp_path / "labelmap.txt").write_text("tree:250,50,0::\n")
    assert read_label_space(tmp_path / "labelmap.txt").class_names == ("tree",)
    with pytest.raises(DataError, match="absent.txt: no such file"):
        read_label_space(tmp_path / "absent.txt")
