"""The process variables of an areaDetector: camera, HDF5 plugin and image plugin, with start values.

Names, states and the ``_RBV`` convention are those of ADCore 3 (ADBase.template, NDPluginBase.template,
NDFile.template, NDFileHDF5.template, NDStdArrays.template), so that ophyd's classes find all they ask for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.records import Bank, Kind, Record


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


DISABLE_ENABLE, NO_YES, OFF_ON = ("Disable", "Enable"), ("No", "Yes"), ("Off", "On")
ENUMS: dict[str, tuple[str, ...]] = {
    "Acquire": ("Done", "Acquire"),
    "AcquireBusy": ("Done", "Acquiring"),
    "ArrayCallbacks": DISABLE_ENABLE,
    "AutoIncrement": NO_YES,
    "AutoSave": NO_YES,
    "BlockingCallbacks": NO_YES,
    "Capture": ("Done", "Capture"),
    "ChunkSizeAuto": NO_YES,
    "ColorMode": ("Mono", "Bayer", "RGB1", "RGB2", "RGB3", "YUV444", "YUV422", "YUV421"),
    "Compression": ("None", "N-bit", "szip", "zlib", "Blosc"),
    "DataType": (
        "Int8",
        "UInt8",
        "Int16",
        "UInt16",
        "Int32",
        "UInt32",
        "Int64",
        "UInt64",
        "Float32",
        "Float64",
    ),
    "DeleteDriverFile": NO_YES,
    "DetectorState": (
        "Idle",
        "Acquire",
        "Readout",
        "Correct",
        "Saving",
        "Aborting",
        "Error",
        "Waiting",
        "Initializing",
        "Disconnected",
        "Aborted",
    ),
    "DimAttDatasets": NO_YES,
    "EnableCallbacks": DISABLE_ENABLE,
    "FileFormat": ("HDF5",),
    "FilePathExists": NO_YES,
    "FileWriteMode": ("Single", "Capture", "Stream"),
    "FrameType": ("Normal", "Background", "FlatField", "DblCorrelation"),
    "ImageMode": ("Single", "Multiple", "Continuous"),
    "LazyOpen": NO_YES,
    "PositionMode": OFF_ON,
    "ReadFile": ("Done", "Read"),
    "ReverseX": NO_YES,
    "ReverseY": NO_YES,
    "ShutterControl": ("Close", "Open"),
    "ShutterMode": ("None", "EPICS PV", "Camera output"),
    "ShutterStatus": ("Closed", "Open"),
    "SimMode": ("LinearRamp", "Peaks", "Sine", "Offset&Noise"),
    "StoreAttr": NO_YES,
    "StorePerform": NO_YES,
    "SWMRActive": ("Off", "Active"),
    "SWMRMode": OFF_ON,
    "SWMRSupported": ("Not Supported", "Supported"),
    "TriggerMode": ("Internal", "External"),
    "WriteFile": ("Done", "Write"),
    "WriteStatus": ("Write OK", "Write error"),
    "XMLValid": NO_YES,
}
LONG_TEXTS = frozenset(
    words("""
FilePath FileName FileTemplate FullFileName NDAttributesFile StatusMessage StringFromServer StringToServer
WriteMessage XMLErrorMsg XMLFileName
""")
)
TEXTS = frozenset(
    words("""
ADCoreVersion BayerPattern DriverVersion ExtraDimNameN ExtraDimNameX ExtraDimNameY FirmwareVersion
Manufacturer Model NDArrayPort PluginType PortName SerialNumber TempSuffix
""")
)
FLOATS = frozenset(
    words("""
AcquirePeriod AcquireTime ArrayRate ExecutionTime Gain GainBlue GainGreen GainRed GainX GainY IOSpeed
MinCallbackTime Noise PeakVariation PoolAllocBuffers PoolMaxMem PoolUsedMem RunTime ShutterCloseDelay
ShutterOpenDelay Temperature TemperatureActual TimeRemaining TimeStamp
""")
)
INT_ARRAYS = frozenset({"Dimensions", "Dim0SA", "Dim1SA", "Dim2SA"})
READ_ONLY = frozenset({"WriteStatus", "WriteMessage", "AcquireBusy", "TemperatureActual", "QueueFree", "QueueUse"})

PLUGIN_SETTINGS = words("""
ArrayCounter BlockingCallbacks DroppedArrays EnableCallbacks MinCallbackTime NDArrayAddress
NDArrayPort QueueSize
""")
PLUGIN_READINGS = words("""
ArrayRate ArraySize0 ArraySize1 ArraySize2 BayerPattern ColorMode DataType Dimensions ExecutionTime
NDimensions PluginType PortName TimeStamp UniqueId
""")
PLUGIN_PLAIN = words("""
AsynIO Dim0SA Dim1SA Dim2SA NDAttributesFile PoolAllocBuffers PoolFreeBuffers PoolMaxBuffers
PoolMaxMem PoolUsedBuffers PoolUsedMem QueueFree QueueFreeLow QueueUse QueueUseHIGH QueueUseHIHI
""")
CAMERA_SETTINGS = words("""
Acquire AcquirePeriod AcquireTime ArrayCallbacks ArrayCounter BinX BinY ColorMode DataType FrameType
Gain GainBlue GainGreen GainRed GainX GainY ImageMode MinX MinY Noise NumExposures NumImages
PeakNumX PeakNumY PeakStartX PeakStartY PeakStepX PeakStepY PeakVariation PeakWidthX PeakWidthY
Reset ReverseX ReverseY ShutterCloseDelay ShutterControl ShutterMode ShutterOpenDelay SimMode SizeX
SizeY Temperature TriggerMode
""")
CAMERA_READINGS = words("""
ADCoreVersion ArrayRate ArraySize ArraySizeX ArraySizeY ArraySizeZ BitsPerPixel DetectorState
DriverVersion FirmwareVersion Manufacturer MaxSizeX MaxSizeY Model NumExposuresCounter
NumImagesCounter PortName SerialNumber ShutterStatus ShutterStatusEPICS StatusMessage
StringFromServer StringToServer TimeRemaining TimeStamp UniqueId
""")
CAMERA_PLAIN = words("""
AcquireBusy AsynIO NDAttributesFile PoolAllocBuffers PoolFreeBuffers PoolMaxBuffers PoolMaxMem
PoolUsedBuffers PoolUsedMem ReadStatus ShutterCloseEPICS ShutterControlEPICS ShutterFanout
ShutterOpenEPICS TemperatureActual
""")
HDF5_SETTINGS = words("""
AutoIncrement AutoSave BoundaryAlign BoundaryThreshold Capture ChunkSizeAuto Compression
CreateDirectory DataBitsOffset DeleteDriverFile DimAttDatasets ExtraDimSizeN ExtraDimSizeX
ExtraDimSizeY FileFormat FileName FileNumber FilePath FileTemplate FileWriteMode FlushNow LazyOpen
NumCapture NumColChunks NumDataBits NumExtraDims NumFramesChunks NumFramesFlush NumRowChunks
PositionMode ReadFile SWMRMode SZipNumPixels SortMode StoreAttr StorePerform TempSuffix WriteFile
XMLFileName ZLevel
""")
HDF5_READINGS = words("""
ExtraDimNameN ExtraDimNameX ExtraDimNameY FilePathExists FullFileName NumCaptured SWMRActive
SWMRCbCounter SWMRSupported XMLErrorMsg XMLValid
""")
HDF5_PLAIN = words("""
FileNumber_Sync FileNumber_write IOSpeed RunTime WriteMessage WriteStatus
""")

START: dict[str, Any] = {
    "AcquireTime": 0.5,
    "AcquirePeriod": 0.5,
    "ImageMode": 0,
    "NumImages": 1,
    "NumExposures": 1,
    "DataType": 3,
    "BinX": 1,
    "BinY": 1,
    "Gain": 1.0,
    "ArrayCallbacks": 1,
    "EnableCallbacks": 1,
    "AutoIncrement": 1,
    "CreateDirectory": -5,
    "FileTemplate": "%s%s_%6.6d.h5",
    "FileName": "frames",
    "FileWriteMode": 2,
    "LazyOpen": 1,
    "NumFramesChunks": 1,
    "NumFramesFlush": 1,
    "NDimensions": 2,
    "QueueSize": 100,
    "StoreAttr": 1,
    "SWMRMode": 1,
    "SWMRSupported": 1,
    "ADCoreVersion": "3.13.0",
    "DriverVersion": "1.0",
    "SerialNumber": "0",
    "BitsPerPixel": 16,
}


@dataclass(frozen=True, slots=True)
class Group:
    """The records of one driver or plugin: ``Name`` with ``Name_RBV``, ``Name_RBV`` alone, ``Name`` alone."""

    settings: tuple[str, ...]
    readings: tuple[str, ...]
    plain: tuple[str, ...]


CAMERA = Group(CAMERA_SETTINGS, CAMERA_READINGS, CAMERA_PLAIN)
HDF5 = Group((*PLUGIN_SETTINGS, *HDF5_SETTINGS), (*PLUGIN_READINGS, *HDF5_READINGS), (*PLUGIN_PLAIN, *HDF5_PLAIN))
IMAGE = Group(PLUGIN_SETTINGS, PLUGIN_READINGS, PLUGIN_PLAIN)


def add_group(bank: Bank, prefix: str, group: Group) -> None:
    """Add the records of a driver or plugin under a prefix such as ``SIM:cam:HDF1:``.

    A put to a setting is echoed by its ``_RBV``; models replace ``on_put`` where a put does more.
    """
    for name in group.settings:
        setting = _add(bank, prefix + name, name, read_only=False)
        setting.on_put = _echo_to(_add(bank, prefix + name + "_RBV", name, read_only=True))
    for name in group.readings:
        _add(bank, prefix + name + "_RBV", name, read_only=True)
    for name in group.plain:
        _add(bank, prefix + name, name, read_only=name in READ_ONLY)


def _echo_to(reading: Record) -> Any:
    async def echo(_: Record, value: Any) -> None:
        await reading.post(value)

    return echo


def _add(bank: Bank, name: str, base: str, *, read_only: bool) -> Record:
    start = START.get(base)
    if base in INT_ARRAYS:
        zeros = np.zeros(10, np.int32)
        return bank.add(name, zeros, Kind.ARRAY, length=10, dtype="int32", read_only=read_only)
    if base in ENUMS:
        return bank.add(name, start or 0, enums=ENUMS[base], read_only=read_only)
    if base in LONG_TEXTS:
        return bank.add(name, start or "", Kind.LONG_STRING, length=256, read_only=read_only)
    if base in TEXTS:
        return bank.add(name, start or "", Kind.STRING, read_only=read_only)
    if base in FLOATS:
        return bank.add(name, float(start or 0.0), Kind.DOUBLE, read_only=read_only, precision=6)
    return bank.add(name, start or 0, Kind.INT, read_only=read_only)
