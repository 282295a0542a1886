"""Whether a changed API still serves clients that were made for the one before.

    python .ci/proto_compatibility.py BASELINE CURRENT      # files that hold a FileDescriptorSet

Additions are fine. Whatever a client that was generated from BASELINE could rely on must still be there, with the same
meaning on the wire and the same name in generated code. One line per break on stderr, and exit code 1, if not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

_HOW = """A deliberate break, which is possible before version 1.0: say in CHANGELOG.md what clients must change, then
`make proto BREAK=yes` takes the API as it is now for the one that later changes are compared with."""


def breaks(before: FileDescriptorSet, after: FileDescriptorSet) -> list[str]:
    """What clients of one API lose with another, a line each, in the order of the API before."""
    files = {file.name: file for file in after.file}
    found: list[str] = []
    for file in before.file:
        if file.name not in files:
            found.append(f"{file.name}: the file is gone")
        else:
            found.extend(_file_breaks(file, files[file.name]))
    return found


def _file_breaks(before: FileDescriptorProto, after: FileDescriptorProto) -> Iterator[str]:
    if before.package != after.package:
        yield f"{before.name}: package {before.package} became {after.package or 'none'}"
        return
    if before.syntax != after.syntax or before.edition != after.edition:
        yield f"{before.name}: syntax {before.syntax or 'proto2'} became {after.syntax or 'proto2'}"
    scope = before.package
    yield from _in_both(scope, "message", before.message_type, after.message_type, _message_breaks)
    yield from _in_both(scope, "enum", before.enum_type, after.enum_type, _enum_breaks)
    yield from _in_both(scope, "service", before.service, after.service, _service_breaks)


def _message_breaks(name: str, before: DescriptorProto, after: DescriptorProto) -> Iterator[str]:
    numbers = {field.number: field for field in after.field}
    for field in before.field:
        if field.number in numbers:
            yield from _field_breaks(name, before, field, after, numbers[field.number])
        else:
            moved = next((f" to {f.number}" for f in after.field if f.name == field.name), None)
            what = "is gone" if moved is None else f"got another number{moved}"
            yield f"{name}.{field.name} = {field.number}: the field {what}"
    yield from _reserved_breaks(name, before, after)
    yield from _in_both(name, "message", before.nested_type, after.nested_type, _message_breaks)
    yield from _in_both(name, "enum", before.enum_type, after.enum_type, _enum_breaks)


def _field_breaks(
    message: str,
    before_in: DescriptorProto,
    before: FieldDescriptorProto,
    after_in: DescriptorProto,
    after: FieldDescriptorProto,
) -> Iterator[str]:
    place = f"{message}.{before.name} = {before.number}"
    properties = {
        "name": (before.name, after.name),
        "JSON name": (before.json_name, after.json_name),
        "type": (_type(before), _type(after)),
        "label": (_label(before), _label(after)),
        "oneof": (_oneof(before_in, before), _oneof(after_in, after)),
    }
    for what, (was, now) in properties.items():
        if was != now:
            yield f"{place}: {what} {was!r} became {now!r}"


def _enum_breaks(name: str, before: EnumDescriptorProto, after: EnumDescriptorProto) -> Iterator[str]:
    numbers = {value.name: value.number for value in after.value}
    for value in before.value:
        if value.name not in numbers:
            yield f"{name}.{value.name} = {value.number}: the value is gone"
        elif numbers[value.name] != value.number:
            yield f"{name}.{value.name} = {value.number}: its number became {numbers[value.name]}"
    # What the client prints for a number is the first of its names.
    firsts = {value.number: value.name for value in reversed(after.value)}
    for number, was in {value.number: value.name for value in reversed(before.value)}.items():
        if was in numbers and numbers[was] == number and firsts[number] != was:
            yield f"{name}: the first name of {number} was {was} and became {firsts[number]}"
    yield from _reserved_breaks(name, before, after, inclusive=True)


def _service_breaks(
    name: str, before: ServiceDescriptorProto, after: ServiceDescriptorProto
) -> Iterator[str]:
    methods = {method.name: method for method in after.method}
    for method in before.method:
        place = f"{name}.{method.name}"
        if method.name not in methods:
            yield f"{place}: the rpc is gone"
            continue
        other = methods[method.name]
        properties = {
            "request": (method.input_type, other.input_type),
            "response": (method.output_type, other.output_type),
            "client streaming": (method.client_streaming, other.client_streaming),
            "server streaming": (method.server_streaming, other.server_streaming),
        }
        for what, (was, now) in properties.items():
            if was != now:
                yield f"{place}: {what} {was} became {now}"


def _reserved_breaks(name: str, before: Any, after: Any, inclusive: bool = False) -> Iterator[str]:
    """Numbers and names that were taken out of use for ever must stay out of use."""
    for reserved in before.reserved_range:
        last = reserved.end if inclusive else reserved.end - 1
        if not _covered(reserved.start, last, after.reserved_range, inclusive):
            yield f"{name}: the numbers {reserved.start} to {last} are not reserved any more"
    for word in before.reserved_name:
        if word not in after.reserved_name:
            yield f"{name}: the name {word} is not reserved any more"


def _covered(first: int, last: int, ranges: Any, inclusive: bool) -> bool:
    """Whether ranges together hold all numbers from first to last."""
    for reserved in sorted(ranges, key=lambda entry: int(entry.start)):
        end = reserved.end if inclusive else reserved.end - 1
        if reserved.start <= first <= end:
            first = end + 1
    return first > last


def _in_both(scope: str, what: str, before: Any, after: Any, compare: Any) -> Iterator[str]:
    """Things that are gone, and what differs in those that are still there."""
    there: Mapping[str, Any] = {item.name: item for item in after}
    for item in before:
        name = f"{scope}.{item.name}"
        if item.name in there:
            yield from compare(name, item, there[item.name])
        else:
            yield f"{name}: the {what} is gone"


def _type(field: FieldDescriptorProto) -> str:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"{kind} {field.type_name}" if field.type_name else kind


def _label(field: FieldDescriptorProto) -> str:
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    if field.proto3_optional:
        return "optional"
    return "singular" if label == "optional" else label


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    """Name of the oneof that a field is in; "" if it is in none but the one that `optional` makes."""
    real = field.HasField("oneof_index") and not field.proto3_optional
    return message.oneof_decl[field.oneof_index].name if real else ""


def main(baseline: str, current: str) -> int:
    """Compares two files; what breaks goes to stderr."""
    before, after = (FileDescriptorSet.FromString(Path(path).read_bytes()) for path in (baseline, current))
    found = breaks(before, after)
    for line in found:
        print(f"breaks clients: {line}", file=sys.stderr)
    if found:
        print(_HOW, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
