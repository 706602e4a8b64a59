"""The operations that a script asks for by mumott's names, of mumott or of the room that has the same ones.

Runs in both virtual environments: the root of the names is all that differs.
"""

from importlib import import_module
from pathlib import Path

import numpy as np

ROUNDS = 5


def operations_of(root):
    """Operations by name, `function(folder, watch)`, of ``mumott`` or ``mumott_dask.compat``."""

    def of(module):
        return import_module(f"{root}.{module}")

    def container_of(folder, name="scan.h5"):
        return of("data_handling").DataContainer(str(folder / name))

    def transmittivities(folder, watch):
        found = of("data_handling.utilities").get_transmittivities(
            container_of(folder).diode, normalize_per_projection=True, cutoff_values=(0.3, 1.0)
        )
        return {
            "transmittivity": found["transmittivity"],
            "lower": found["cutoff_mask_lower"],
            "upper": found["cutoff_mask_upper"],
        }

    def container(folder, watch):
        held = container_of(folder, "segments.h5")
        arrays = {"diode": held.diode, "data": held.data, "weights": held.weights[..., 0]}
        held.correct_for_transmission()
        return arrays | {"corrected": held.data}

    def geometry(folder, watch):
        found, random = container_of(folder).geometry, np.random.default_rng(0)
        found.inner_axes, found.outer_axes = (0, 0.6, 0.8), (1, 0, 0)
        found.inner_angles, found.outer_angles = random.random((2, len(found)))
        arrays = {"from_angles": found.rotations_as_array.copy()}
        found.rotate_reconstruction(axis=np.array([0, 0.6, 0.8]), angle=0.3)
        found.rotate_system_vectors(axis=np.array([0.6, 0, 0.8]), angle=0.2)
        names = ("p_direction_0", "j_direction_0", "k_direction_0", "detector_direction_origin")
        return arrays | {
            "turned": found.rotations_as_array,
            "directions": [getattr(found, name) for name in names],
        }

    def probed_coordinates(folder, watch):
        found = container_of(folder, "segments.h5").geometry
        found.two_theta = np.array([0.0, 0.4])
        probed = found.probed_coordinates
        return {"vector": probed.vector, "great_circle_offset": probed.great_circle_offset}

    def subsets(folder, watch):
        projector, some = of("methods.projectors").SAXSProjector(container_of(folder).geometry), [5, 2, 3]
        with np.load(folder / "inputs.npz") as inputs:
            volume, images = (inputs[n][..., None].astype(float) for n in ("volume", "projections"))
        forward = projector.forward(np.concatenate([volume, 2 * volume], axis=-1), indices=np.array(some))
        adjoint = projector.adjoint(np.ascontiguousarray(images[some]), indices=np.array(some))
        return {"forward": forward, "adjoint": adjoint}

    def alignment_geometry(folder, watch):
        axis, shape = of("pipelines.utilities.alignment_geometry").get_alignment_geometry(
            container_of(folder)
        )
        return {"axis": axis, "volume_shape": shape}

    def shifts(folder, watch):
        """mumott multiplies by the axes, so its signs are theirs."""
        amo, held = of("pipelines.optical_flow_alignment"), container_of(folder)
        some = np.random.default_rng(0).normal(size=(len(held.geometry), 2))
        return {
            "vector": amo.shifts_to_vector(some, held),
            "offsets": amo.shifts_to_geometry(held, some),
        }

    def image_processing(folder, watch):
        """Sides are even: of odd ones mumott's frequencies are half a step off."""
        imp, random = of("pipelines.utilities.image_processing"), np.random.default_rng(0)
        images, (x, y) = random.random((24, 18, 5)), random.normal(size=(2, 5))
        *places, mass = imp.center(images)
        return {
            "window": imp.compute_tukey_window(18, 24),
            "gradient": imp.get_img_grad(images[..., 0]),
            "shifted": imp.imshift_fft(images, x, y),
            "smoothed": imp.smooth_edges(images),
            "filtered": imp.imfilter_high_pass_1d(images, 1, 0.1),
            "center": places,
            "mass": mass,
        }

    def recentred(folder, watch):
        """mumott shifts in Fourier space, by a centre of mass of square roots."""
        with np.load(folder / "inputs.npz") as inputs:
            shape = inputs["volume"].shape
        places = np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")
        volume = np.exp(-sum((place - 3) ** 2 for place in places) / 50)
        return {"tomogram": of("pipelines.optical_flow_alignment").recenter_tomogram(volume[..., None])}

    def saved(folder, watch):
        import h5py

        path = Path(folder) / f"{root}.results.h5"
        given = {"array": np.arange(6.0).reshape(2, 3), "more": {"number": 5, "text": "a"}}
        of("output_handling").dict_to_h5(given, str(path))
        with h5py.File(path) as file:
            return {"array": file["array"][:], "number": file["more/number"][:]}

    def sirt(folder, watch):
        """mumott's weights read the wrong voxel in the outermost layers."""
        found = of("pipelines").run_sirt(container_of(folder), maxiter=ROUNDS, no_tqdm=True)
        tomogram = found["result"]["x"][..., 0]
        return {"tomogram": tomogram, "inside": tomogram[1:-1, 1:-1, 1:-1]}

    def mitra_by_name(folder, watch):
        held = container_of(folder)
        with np.load(folder / "weights.npz") as given:
            absorbances, weights, preconditioner = (
                given[name].astype(float)[..., None] for name in ("absorbance", "weights", "preconditioner")
            )
        held.projections.weights = weights
        found = of("pipelines").run_mitra(
            held,
            use_sirt_weights=False,
            absorbances=absorbances,
            loss_function_kwargs={"use_weights": True, "preconditioner": preconditioner},
            optimizer_kwargs={"nestorov_weight": 0.6, "no_tqdm": True},
            maxiter=ROUNDS,
        )
        return {"tomogram": found["result"]["x"][..., 0]}

    def unaligned(folder):
        held = container_of(folder)
        held.geometry.j_offsets = held.geometry.k_offsets = np.zeros(len(held.geometry))
        return held

    def line(folder, watch):
        amo, held = of("pipelines.optical_flow_alignment"), unaligned(folder)
        return {"offsets": watch(amo.line_vertical_alignment, held).T}

    def optical_flow(folder, watch):
        """The tutorial's first stage."""
        amo, held = of("pipelines.optical_flow_alignment"), unaligned(folder)
        start = amo.line_vertical_alignment(held)
        settings = {"rec_iteration": 5, "stop_max_iteration": 15, "smooth_data": True, "sigma_smooth": 2.0}
        optimizer = {"nestorov_weight": 0.6, "no_tqdm": True}
        settings |= {"optimal_shift": start, "optimizer_kwargs": optimizer}
        found = watch(lambda: amo.run_optical_flow_alignment(held, **settings))
        return {"offsets": found[0].T}

    def phase_matching(folder, watch):
        held = unaligned(folder)
        pipeline = {"maxiter": 10, "no_tqdm": True}
        settings = {"upsampling": 20, "maxiter": 12, "shift_cutoff": 5.0}
        run = of("pipelines").run_phase_matching_alignment
        watch(lambda: run(held, reconstruction_pipeline_kwargs=pipeline, **settings))
        return {"offsets": [held.geometry.j_offsets, held.geometry.k_offsets]}

    listed = (transmittivities, container, geometry, probed_coordinates, subsets, alignment_geometry)
    listed += (shifts, image_processing, recentred, saved, sirt, mitra_by_name)
    listed += (line, optical_flow, phase_matching)
    return {operation.__name__: operation for operation in listed}
