"""Is a broken text file refused in a sentence that names its line and the remedy, and a whole one read as it is?"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import text_files
from pipeline.columns import text_values
from pipeline.exceptions import DataError
from pipeline.labels import label_values
from pipeline.text_files import read_delimited, read_json_lines


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_csv(folder: Path, content: str | bytes, encoding: str = "utf-8") -> list[dict]:
    return read_delimited(write(folder, "a.csv", content), encoding, ",").to_pylist()


def read_jsonl(folder: Path, content: str | bytes, encoding: str = "utf-8") -> list[dict]:
    return read_json_lines(write(folder, "a.jsonl", content), encoding).to_pylist()


# CSV and TSV

@pytest.mark.parametrize("content, rows", [
    ("text,label\nfine,1\n", [{"text": "fine", "label": "1"}]),
    ("text,label\r\nfine,1\r\n\r\n", [{"text": "fine", "label": "1"}]),                 # Windows; an empty line
    ('text,label\n"one, two\nthree ""x""",0', [{"text": 'one, two\nthree "x"', "label": "0"}]),
    ("text,label\n,1\nNaN,\n", [{"text": None, "label": "1"}, {"text": None, "label": None}]),
    ("\ufefftext,label\nfine,1\n", [{"text": "fine", "label": "1"}]),                   # a byte-order mark
    (" text ,,label\na,b,c\n", [{"text": "a", "column_2": "b", "label": "c"}]),         # pandas names no index
    ('text,label\na 5" nail,1\n', [{"text": 'a 5" nail', "label": "1"}]),
])
def test_a_csv_file_is_read_as_it_is(tmp_path, content, rows):
    assert read_csv(tmp_path, content) == rows


def test_a_tsv_file_has_tabs(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\none, two\t1\n")
    assert read_delimited(path, "utf-8", "\t").to_pylist() == [{"text": "one, two", "label": "1"}]


def test_a_text_longer_than_the_csv_modules_own_limit_is_read(tmp_path):
    assert len(read_csv(tmp_path, f"text,label\n{'word ' * 40_000},1\n")[0]["text"]) == 200_000


@pytest.mark.parametrize("content, sentence", [
    ("text,label\na,1\nb,1,2\nc,0\n",
     "a.csv, line 3: 3 cells where the header has 2 (text, label). Leave no cell out, and put those with commas or "
     "line breaks in them in double quotes."),
    ("text,label\na\n", "a.csv, line 2: 1 cell where the header has 2 (text, label)."),
    ('text,label\n"two\nlines",1\nb,1,2\n', "a.csv, line 4: 3 cells where"),
    ('text,label\na,1\n"b" c,0\n', "a.csv, line 3: broken quotes (',' expected after '\"'). Close every double quote,"),
    ('text,label\na,1\n"b,0\nc,1\n', "a.csv, line 3: broken quotes (unexpected end of data). Close every double"),
    ('"text";"label"\n"a";1\n', "a.csv, line 1: broken quotes (',' expected after '\"'). Close every double quote, "
     "separate cells with commas,"),
    ("text;label\na;1\n",
     "a.csv, line 1: the header is one column ('text;label'), separated by semicolons where the ending of the file "
     "promises commas. Save it with commas."),
    ("text\tlabel\na\t1\n", "a.csv, line 1: the header is one column ('text\tlabel'), separated by tabs where the "
     "ending of the file promises commas. Give it the ending .tsv."),
    ("text,label,text\na,1,b\n", "a.csv, line 1: the header has two columns named 'text'. Rename one of them."),
    ("\n\n", "a.csv has nothing but white space. Give a file with a header line and examples."),
    (",".join(map(str, range(1001))) + "\n1\n", "a.csv, line 2: 1 cell where the header has 1001 (0, 1, 2, "),
])
def test_a_broken_csv_file_is_refused_with_its_line(tmp_path, content, sentence):
    with pytest.raises(DataError) as error:
        read_csv(tmp_path, content)
    assert str(error.value).startswith(sentence)


def test_a_comma_separated_tsv_file_is_told_its_ending(tmp_path):
    with pytest.raises(DataError, match=r"separated by commas where the .* promises tabs. Give it the ending .csv"):
        read_delimited(write(tmp_path, "a.tsv", "text,label\na,1\n"), "utf-8", "\t")


# Encodings

def test_another_encoding_is_read_when_it_is_named(tmp_path):
    assert read_csv(tmp_path, "text,label\ncafé,1\n".encode("cp1252"), "cp1252")[0]["text"] == "café"
    assert read_csv(tmp_path, "text,label\ncafé,1\n".encode("utf-16"), "utf-16")[0]["text"] == "café"
    assert read_jsonl(tmp_path, '{"text": "café"}'.encode("utf-16-le"), "utf-16-le") == [{"text": "café"}]


@pytest.mark.parametrize("before", ["", "fine,1\n" * 400_000], ids=["in the first block", "far into the file"])
def test_a_byte_that_does_not_decode_is_told_with_its_line_and_place(tmp_path, before):
    start = f"text,label\n{before}"
    with pytest.raises(DataError) as error:
        read_csv(tmp_path, start.encode() + b"caf\xe9,1\n")
    line_number = start.count("\n") + 1
    assert str(error.value) == (
        f"a.csv, line {line_number} (byte {len(start) + 3:,}) is not utf-8. Set data.encoding to the encoding of the "
        "file (often cp1252 or latin-1 for older Western files), or save it as UTF-8."
    )


def test_a_character_cut_in_two_by_a_block_is_no_error(tmp_path):
    line = '"' + "é" * 600_000      # 2 bytes each from byte 1 on: the first block of 2**20 bytes ends within one
    with pytest.raises(DataError, match=r"line 2 \(byte 1,200,009\) is not utf-8"):
        read_jsonl(tmp_path, f"{line}\n1234567".encode() + b"\xff")


def test_a_file_that_ends_in_the_middle_of_a_character_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"line 2 .* is not utf-8"):
        read_csv(tmp_path, "text,label\ncafé".encode()[:-1])


@pytest.mark.parametrize("encoding", ["klingon", "zip", "idna", "utf-7", "a\0b", ""])
def test_an_encoding_that_does_not_exist_is_refused(tmp_path, encoding):
    with pytest.raises(DataError, match=r"under data.encoding is no encoding of text files that Python"):
        read_csv(tmp_path, "text,label\na,1\n", encoding)


@pytest.mark.parametrize("content, sentence", [
    (b"\x89PNG\r\n\x1a\n\0\0\0", "is binary, not text (byte 8 is zero). Save it as text, give it the ending of"),
    ("text,label\na,1\n".encode("utf-16"), "starts with the byte-order mark of UTF-16. Set data.encoding to utf-16"),
    ("text,label\na,1\n".encode("utf-32"), "starts with the byte-order mark of UTF-32. Set data.encoding to utf-32"),
])
def test_what_is_not_text_is_refused(tmp_path, content, sentence):
    for read, name in ((read_csv, "a.csv"), (read_jsonl, "a.jsonl")):
        with pytest.raises(DataError) as error:
            read(tmp_path, content)
        assert str(error.value).startswith(f"{name} {sentence}")


# JSON lines

def test_json_lines_keep_their_types_and_lack_what_they_lack(tmp_path):
    content = '{"text": "a", "label": 1}\n\n{"text": "b", "label": null, "extra": true}\n'
    assert read_jsonl(tmp_path, content) == [
        {"text": "a", "label": 1, "extra": None}, {"text": "b", "label": None, "extra": True},
    ]


def test_nan_is_nothing_and_mixed_or_nested_values_are_text(tmp_path):
    lines = ['{"a": NaN, "b": 1, "c": [1, "é"]}', '{"a": "x", "b": "y"}', '{"a": 2.5, "b": false, "c": {"d": 1}}']
    assert read_jsonl(tmp_path, "\n".join(lines)) == [
        {"a": None, "b": "1", "c": '[1, "é"]'},
        {"a": "x", "b": "y", "c": None},
        {"a": "2.5", "b": "false", "c": '{"d": 1}'},
    ]
    assert read_jsonl(tmp_path, '{"a": "x"}\n{"a": NaN}') == [{"a": "x"}, {"a": None}]


@pytest.mark.parametrize("line, column", [
    ('{"text": ["some", "words"], "label": 0}', "text"), ('{"text": "some words", "label": ["a", "b"]}', "label"),
])
def test_a_list_is_neither_a_text_nor_a_label(tmp_path, monkeypatch, line, column):
    monkeypatch.setattr(text_files, "_ROWS_OF_CHUNK", 1)
    path = write(tmp_path, "a.jsonl", '{"text": "a text", "label": 1}\n' + line)
    table = read_json_lines(path, "utf-8")
    with pytest.raises(DataError, match=rf"a.jsonl: the column '{column}' holds lists or objects \(such as \["):
        text_values(table, "a.jsonl", "text"), label_values(table, "a.jsonl", "label")


def test_nan_is_nothing_in_a_chunk_of_its_own_too(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_ROWS_OF_CHUNK", 1)
    assert read_jsonl(tmp_path, '{"a": "x"}\n{"a": NaN}') == [{"a": "x"}, {"a": None}]


def test_types_that_differ_between_chunks_become_one(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_ROWS_OF_CHUNK", 1)
    content = '{"a": 1, "b": 1, "c": null}\n{"a": 2.5, "b": "x", "late": 7}\n{"c": 5}\n'
    table = read_json_lines(write(tmp_path, "a.jsonl", content), "utf-8")
    assert table.to_pylist() == [
        {"a": 1.0, "b": "1", "c": None, "late": None},
        {"a": 2.5, "b": "x", "c": None, "late": 7},
        {"a": None, "b": None, "c": 5, "late": None},
    ]
    assert table.schema.field("a").type == pa.float64()


@pytest.mark.parametrize("content, sentence", [
    ('{"text": "a"}\n{"text": "b"\n',
     "a.jsonl, line 2: not JSON (Expecting ',' delimiter at character 13). Write one JSON object on each line."),
    ("\n\nnothing\n", "a.jsonl, line 3: not JSON (Expecting value at character 1)."),
    ('["a", 1]\n', 'a.jsonl, line 1: expected a JSON object such as {"text": "...", "label": 1}, found ["a", 1]. '),
    ("[" * 100_000 + "\n", "a.jsonl, line 1: a number is too long or brackets nest too deeply."),
    ('{"a": ' + "1" * 5_000 + "}\n", "a.jsonl, line 1: a number is too long or brackets nest too deeply."),
    ('{"text": "\\ud83d"}\n', "a.jsonl, line 1: half of a character (such as \\ud83d alone). Write both halves, or"),
    (" \n\n", "a.jsonl has nothing but white space. Give a file with one JSON object a line."),
    ("{" + ", ".join(f'"{n}": 1' for n in range(1001)) + "}\n", "a.jsonl has more than 1,000 columns. Keep the text,"),
])
def test_a_broken_json_lines_file_is_refused_with_its_line(tmp_path, content, sentence):
    with pytest.raises(DataError) as error:
        read_jsonl(tmp_path, content)
    assert str(error.value).startswith(sentence)


def test_both_halves_of_a_character_are_read(tmp_path):
    assert read_jsonl(tmp_path, '{"text": "\\ud83d\\ude00"}\n') == [{"text": "😀"}]


# Bounds

def test_too_many_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_ROWS", 2)
    assert len(read_csv(tmp_path, "text,label\na,1\nb,1\n")) == 2
    with pytest.raises(DataError, match="a.csv has more than 2 rows, the most that are read. Cut it into a smaller"):
        read_csv(tmp_path, "text,label\na,1\nb,1\nc,1\n")


def test_a_file_that_is_one_endless_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_LINE_CHARACTERS", 100)
    with pytest.raises(DataError, match="a.jsonl has a line of more than 100 characters. Put each example on a line"):
        read_jsonl(tmp_path, '{"text": "' + "a" * 200)


def test_many_chunks_keep_every_row_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_ROWS_OF_CHUNK", 7)
    rows = read_csv(tmp_path, "text,label\n" + "".join(f"t{number},{number % 2}\n" for number in range(100)))
    assert [row["text"] for row in rows] == [f"t{number}" for number in range(100)]
