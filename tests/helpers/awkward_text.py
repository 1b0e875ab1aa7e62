"""Text that is awkward in a table, for hypothesis."""

from hypothesis import strategies as st

#: Everything that a file name could bring along, but NUL and halves of surrogate pairs.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
awkward = texts | st.sampled_from(
    ["a,b", 'say "x"', "line\nbreak", "\r", "\r\n", " ", "ünïcödé", "日本", "NA", "1e5", "#x"]
)
