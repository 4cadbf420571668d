// Image and labels of the store that the address names, in vitessce. Bundled by look.py.
import React from "react";
import { createRoot } from "react-dom/client";
import { Vitessce, VitessceConfig, CoordinationLevel as CL, hconcat } from "vitessce";

const store = new URLSearchParams(location.search).get("store");
const config = new VitessceConfig({ schemaVersion: "1.0.17", name: "wsiseg" });
const slide = config.addDataset("slide")
  .addFile({ fileType: "image.ome-zarr", url: store, coordinationValues: { fileUid: "image" } })
  .addFile({ fileType: "obsSegmentations.ome-zarr", url: `${store}/labels/tissue`, coordinationValues: { fileUid: "labels" } });
const view = config.addView(slide, "spatialBeta");
const control = config.addView(slide, "layerControllerBeta");
config.linkViewsByObject([view, control], {
  imageLayer: CL([{ fileUid: "image", photometricInterpretation: "RGB" }]),
  segmentationLayer: CL([{ fileUid: "labels", segmentationChannel: CL([{ spatialTargetC: 0, spatialChannelOpacity: 0.5, obsColorEncoding: "spatialChannelColor" }]) }]),
});
config.layout(hconcat(view, control));
createRoot(document.getElementById("root")).render(
  React.createElement(Vitessce, { config: config.toJSON(), height: 780, theme: "light" }),
);
