"""Which function calls of a statement depend on nothing but their arguments.

The names are those of PostgreSQL's and SQLite's own functions, and of the ones that Django adds to
SQLite. Everything that is not listed counts as unknown: functions of users may read and write
tables, and others read a clock, a sequence or a random number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from zoocache.contrib._sql_text import TIME_STRING, Dialect, words

_COMMON = """
abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char chr coalesce concat concat_ws cos
cosh cot count cume_dist degrees dense_rank exp first_value floor format greatest iif ifnull instr
lag last_value lead least left length like ln log log10 log2 lower lpad ltrim max md5 min mod
nth_value ntile nullif octet_length percent_rank pi pow power radians rank repeat replace reverse
right round row_number rpad rtrim sha1 sha224 sha256 sha384 sha512 sign sin sinh sqrt stddev_pop
stddev_samp string_agg substr substring sum tan tanh trim trunc typeof unicode upper var_pop
var_samp bit_and bit_or bit_xor char_length rollup cube grouping cast extract position overlay
translate btrim any_value every bool_and bool_or regexp glob
json_each json_tree json json_array json_array_length json_extract json_group_array
json_group_object json_insert json_object json_patch json_quote json_remove json_replace json_set
json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array jsonb_group_object
jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set generate_series
"""
_SQLITE = """
glob group_concat hex likelihood likely unlikely unhex nullif printf quote soundex sqlite_version
total zeroblob median percentile percentile_cont percentile_disc concat_ws octet_length
django_date_extract django_date_trunc django_datetime_cast_date django_datetime_cast_time
django_datetime_extract django_datetime_trunc django_time_extract django_time_trunc
django_time_diff django_timestamp_diff django_format_dtdelta django_power bitxor
"""
_POSTGRESQL = """
array array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims
array_position array_positions array_prepend array_remove array_replace array_to_json
array_to_string array_upper ascii bit_count bit_length cardinality cbrt character_length
convert_from convert_to corr covar_pop covar_samp date_bin date_part date_trunc date decode div
encode factorial gcd get_bit get_byte initcap int4range int8range isempty isfinite json_agg
json_array_elements json_array_elements_text json_build_array json_build_object json_each_text
json_extract_path json_extract_path_text json_object_agg json_object_keys json_strip_nulls
json_to_record json_to_recordset json_populate_record json_populate_recordset json_typeof
jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_strip_nulls jsonb_to_record
jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lcm lower_inc lower_inf
make_date make_interval make_time make_timestamp make_timestamptz mode multirange num_nonnulls
num_nulls numrange nummultirange int4multirange int8multirange datemultirange tsmultirange
tstzmultirange daterange percentile_cont percentile_disc parse_ident pg_typeof plainto_tsquery
phraseto_tsquery quote_ident quote_literal quote_nullable range_agg range_merge regexp_count
regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2
regr_slope regr_sxx regr_sxy regr_syy row_to_json scale set_bit set_byte setweight split_part
starts_with stddev string_to_array string_to_table strip strpos numnode querytree timezone to_ascii
to_char to_date to_hex to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector tsrange
tstzrange ts_headline ts_rank ts_rank_cd unnest upper_inc upper_inf variance websearch_to_tsquery
width_bucket xmlagg xmlconcat xmlelement xmlforest
"""
PURE: dict[Dialect, frozenset[str]] = {
    "sqlite": words(_COMMON + _SQLITE),
    "postgresql": words(_COMMON + _POSTGRESQL),
}
# Of SQLite: these read the clock unless they are given a time that is not the word "now".
_TIME_FUNCTIONS = {
    **dict.fromkeys(("date", "time", "datetime", "julianday", "unixepoch"), 1),
    **dict.fromkeys(("strftime", "timediff"), 2),
}
# Called without parentheses.
_BARE: dict[Dialect, frozenset[str]] = {
    "sqlite": words("current_date current_time current_timestamp"),
    "postgresql": words(
        "current_catalog current_date current_role current_schema current_time current_timestamp"
        " current_user localtime localtimestamp session_user system_user user"
    ),
}
# What a parenthesis may follow though nothing is called.
_NOT_CALLS = words(
    """
    all and any array as between both by case cast check collate cross current distinct do else end
    escape except exists filter for foreign from full group having ilike in inner intersect interval
    into is isnull join key lateral leading like limit materialized natural not notnull null nulls
    offset on only or order outer over overlaps partition placing primary range recursive references
    returning row rows select set sets similar some table tablesample then to trailing union unique
    using values variadic when where window with within groups conflict insert then default glob
    match regexp exclude
    """
)
# Words after which an expression begins: a name and a parenthesis after one of them are a call.
# After every other word, two operands would stand side by side, so that it is none.
_BEFORE_OPERANDS = _NOT_CALLS - {"end", "null", "isnull", "notnull", "current", "default"} | {
    *("asc", "delete", "desc", "explain", "fetch", "first", "next", "ignore", "indexed", "left"),
    *("right", "merge", "matched", "nothing", "replace", "symmetric", "truncate", "update", "zone"),
    *("analyze", "using", "without", "ordinality", "preceding", "following", "separator"),
}
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"]|"")*")|(?P<string>'\w*')|(?P<parameter>:zc\d+)"""
    r"""|(?P<word>[^\W\d][\w$]*)|(?P<number>\d[\w.]*)|(?P<cast>::)|(?P<other>\S)"""
)


class Token(NamedTuple):
    """A token of a shape. Words are in lower case; start and end are places in the shape."""

    kind: str
    text: str
    start: int
    end: int


_NAMES = frozenset({"word", "quoted"})
_NONE = Token("other", "", 0, 0)


def tokens_of(shape: str) -> list[Token]:
    """The tokens of a shape's text."""
    found: list[Token] = []
    for match in _TOKEN.finditer(shape):
        kind = match.lastgroup or "other"
        text = match.group()
        text = text.lower() if kind == "word" else text
        found.append(Token(kind, text, match.start(), match.end()))
    return found


def unknown_functions(
    tokens: list[Token], dialect: Dialect, ctes: dict[str, int]
) -> frozenset[str]:
    """The functions called in the tokens of a query that are not known to be pure, lower case.

    `ctes` counts the names of common table expressions that have a list of columns, which looks
    like a call.
    """
    calls: list[tuple[str, bool]] = []  # name, and whether it stands where a CTE's name can
    unknown: set[str] = set()
    for at, (kind, text, _, _) in enumerate(tokens):
        before = tokens[at - 1] if at else _NONE
        after = tokens[at + 1] if at + 1 < len(tokens) else _NONE
        if kind == "string" and text == f"'{TIME_STRING}'" and dialect == "postgresql":
            unknown.add("now")
        if kind not in _NAMES:
            continue
        if after.text != "(":
            if kind == "word" and text in _BARE[dialect] and before.text != "." != after.text:
                unknown.add(text)
            continue
        if not _is_call(tokens, at, kind, text):
            continue
        name = text if kind == "word" else text[1:-1]
        if before.text == ".":
            owner = tokens[at - 2].text.strip('"') if at > 1 else ""
            if owner != "pg_catalog" or dialect != "postgresql":
                unknown.add(f"{owner}.{name}".lower())
                continue
        if dialect == "sqlite":
            name = name.lower()
            if name in _TIME_FUNCTIONS and not _has_time(tokens, at + 1, _TIME_FUNCTIONS[name]):
                unknown.add(name)
        calls.append((name, before.text in {",", "with", "recursive"}))
    for name, count in ctes.items():
        places = [one for one in calls if one[0].lower() == name]
        if len(places) == count and all(place for _, place in places):
            calls = [one for one in calls if one[0].lower() != name]
    known = PURE[dialect] | (_TIME_FUNCTIONS.keys() if dialect == "sqlite" else set())
    unknown.update(name.lower() for name, _ in calls if name not in known)
    return frozenset(unknown)


def _is_call(tokens: list[Token], at: int, kind: str, text: str) -> bool:
    """Whether the name at this place, which a parenthesis follows, is called."""
    if kind == "word" and text in _NOT_CALLS:
        return False
    start = at
    while start > 1 and tokens[start - 1].text == "." and tokens[start - 2].kind in _NAMES:
        start -= 2
    if start == 0:
        return True
    kind, text, _, _ = tokens[start - 1]
    if kind == "word":
        return text in _BEFORE_OPERANDS and text not in {"as", "into", "references", "table"}
    return kind not in {"quoted", "string", "parameter", "number", "cast"} and text not in {
        ")",
        "]",
    }


def _has_time(tokens: list[Token], at: int, needed: int) -> bool:
    """Whether the call with this parenthesis has arguments, none of which may be a clock."""
    depth, commas, empty = 0, 0, True
    for kind, text, _, _ in tokens[at:]:
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
            if depth == 0:
                break
        elif kind == "parameter" or text == f"'{TIME_STRING}'":
            return False
        elif text == "," and depth == 1:
            commas += 1
        if depth and not (text == "(" and depth == 1):
            empty = False
    return not empty and commas + 1 >= needed
